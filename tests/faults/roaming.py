"""A reader as simple as one can be that resumes: when a connection is over, it goes to the next address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.faults.wire import Tape, tape_one
from tests.frames import Frame, check_sequence

PAUSE_SECONDS = 0.05
"""Before the next address, where one does not serve."""


@dataclass
class Roamer:
    """Reads a stream to its terminal event, from whichever of ``urls`` serves."""

    urls: Sequence[str]
    parameters: dict[str, Any]
    frames: list[Frame] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    tapes: list[Tape] = field(default_factory=list)

    async def read(self, notify: Callable[[], None] = lambda: None) -> Roamer:
        """Until the terminal event is there. Raises AssertionError where it is told of an error."""
        while not (self.frames and self.frames[-1].is_terminal):
            after = self.frames[-1].event_id if self.frames else -1
            url = self.urls[len(self.tapes) % len(self.urls)]
            tape = Tape(url, {**self.parameters, "last_event_id": after})
            self.tapes.append(tape)
            await tape_one(tape, notify)
            self.frames += tape.frames
            self.times += tape.times
            assert tape.status in {None, 200, 503}, (tape.status, tape.body)
            if not tape.frames:
                await asyncio.sleep(PAUSE_SECONDS)
        return self

    def check(self) -> None:
        """Every event exactly once, and no error."""
        check_sequence(self.frames, 0)
        assert self.frames[-1].type == "done", self.frames[-1].data

    @property
    def raw(self) -> bytes:
        return b"".join(frame.raw for frame in self.frames)

    @property
    def longest_gap(self) -> float:
        """Seconds between two events."""
        return max((later - before for before, later in pairwise(self.times)), default=0.0)
