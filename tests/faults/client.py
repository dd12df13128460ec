"""A small client that reads a text exactly through a bad network: a sequencer, and resumes by ``last_event_id``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.frames import Frame, connect, text_of

MOST_BUFFERED = 10
MOST_CONNECTIONS = 500


@dataclass
class Sequencer:
    """Puts frames into order: drops duplicates, keeps what came too early."""

    next_id: int = 0
    duplicates: int = 0
    early: dict[int, Frame] = field(default_factory=dict)

    def process(self, frame: Frame) -> Iterator[Frame]:
        """The frames that are next in sequence now."""
        if frame.event_id < self.next_id or frame.event_id in self.early:
            self.duplicates += 1
            return
        self.early[frame.event_id] = frame
        while (ready := self.early.pop(self.next_id, None)) is not None:
            self.next_id += 1
            yield ready

    @property
    def has_gap(self) -> bool:
        """Whether so much waits for a missing frame that it will hardly come."""
        return len(self.early) > MOST_BUFFERED


@dataclass
class ResilientReader:
    """Reads one stream to its terminal event. ``connections`` are the frames that each connection brought."""

    url: str
    parameters: dict[str, Any]
    sequencer: Sequencer = field(default_factory=Sequencer)
    frames: list[Frame] = field(default_factory=list)
    connections: list[list[Frame]] = field(default_factory=list)

    def read(self) -> ResilientReader:
        """Connect, again and again, until the terminal event is there."""
        while not (self.frames and self.frames[-1].is_terminal):
            assert len(self.connections) < MOST_CONNECTIONS
            self.sequencer.early.clear()
            self.connections.append([])
            try:
                self._read_once()
            except httpx.TransportError:
                continue
        return self

    @property
    def text(self) -> str:
        return text_of(self.frames)

    def _read_once(self) -> None:
        asked = {**self.parameters, "last_event_id": self.sequencer.next_id - 1}
        with connect(self.url, **asked) as (response, frames):
            assert response.status_code == 200, response.read()
            for frame in frames:
                self.connections[-1].append(frame)
                self.frames += self.sequencer.process(frame)
                if self.sequencer.has_gap:
                    return
