"""The scripts of the Redis log, and the form that events have there. Pure.

Each log has two keys: a stream of its events, whose entry ids are ``<event id + 1>-0``, and a hash, its
head: the attempt, the end, and the state (open, frozen, closed).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streaming.events import Event, EventType

Command = Sequence[str | int]

FOLDER = Path(__file__).parent / "lua"


@dataclass(frozen=True, slots=True)
class Log:
    """A log's keys in Redis."""

    name: str

    @property
    def events(self) -> str:
        return f"{self.name}:events"

    @property
    def head(self) -> str:
        return f"{self.name}:head"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some of a log, and what its head said meanwhile. ``state`` is empty where there is no log.

    ``whole``: nothing is missing between the place that was asked for and the last of ``events``.
    """

    state: str
    end: int
    events: Sequence[Event]
    whole: bool


class Script:
    """A Lua script: its text, and the SHA-1 that Redis knows it by."""

    def __init__(self, name: str) -> None:
        self.text = (FOLDER / f"{name}.lua").read_text()
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def on(self, log: Log, *arguments: str | int) -> Command:
        """The command that runs it on a log."""
        return ("EVALSHA", self.sha, 2, log.events, log.head, *arguments)


APPEND = Script("append")
FREEZE = Script("freeze")
PUBLISH = Script("publish")
READ = Script("read")
ALL = (APPEND, FREEZE, PUBLISH, READ)


def to_arguments(events: Iterable[Event]) -> list[str | int]:
    """Events as a script takes them."""
    return [field for event in events for field in (event.type.value, event.data, event.elapsed_ms)]


def to_stretch(answer: Sequence[Any], after: int) -> Stretch:
    """What ``READ`` answered for ``after``; ends before a hole."""
    state, end = answer[0].decode(), int(answer[1])
    events: list[Event] = []
    for at in range(2, len(answer), 4):
        event = to_event(*answer[at : at + 4])
        if event.event_id != after + 1 + len(events):
            return Stretch(state, end, events, whole=False)
        events.append(event)
    return Stretch(state, end, events, whole=bool(events) or end <= after + 1)


def to_event(entry_id: bytes, kind: bytes, data: bytes, elapsed_ms: bytes) -> Event:
    """An event from an entry of the stream."""
    return Event(int(entry_id.partition(b"-")[0]) - 1, EventType(int(kind)), data.decode(), int(elapsed_ms))


def to_events(entries: Sequence[Any]) -> list[Event]:
    """The events in what ``XREAD`` answered for one stream."""
    return [to_event(entry_id, *fields[1::2]) for entry_id, fields in entries]
