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

from streaming.eventlog.base import PAGE_EVENTS
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
    """Some of a log, and what its head said just before. ``state`` is empty where there is no log.

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
ALL = (APPEND, FREEZE, PUBLISH)

TYPES = {str(kind.value).encode(): kind for kind in EventType}


def look(log: Log) -> Command:
    """The command that reads a head."""
    return ("HMGET", log.head, "end", "state")


def read_on(log: Log, after: int, most: int = PAGE_EVENTS) -> Command:
    """The command that reads on after an event.

    Not a script together with the head: to pass a thousand entries through Lua takes Redis, which does one thing at
    a time, five times as long as to send them. Not a transaction: one is refused where memory is full.
    """
    return ("XRANGE", log.events, f"{after + 2}-0", "+", "COUNT", most)


def to_arguments(events: Iterable[Event]) -> list[str | int]:
    """Events as a script takes them."""
    return [field for event in events for field in (event.type.value, event.data, event.elapsed_ms)]


def to_stretch(head: Sequence[Any], entries: Sequence[Any], after: int) -> Stretch:
    """A head, and what was read after ``after`` as soon as that was known; ends before a hole."""
    last, said = head
    state, end = (said or b"").decode(), int(last or 0)
    events = to_contiguous(entries, after)
    return Stretch(state, end, events, whole=len(events) == len(entries) and (bool(events) or end <= after + 1))


def to_contiguous(entries: Sequence[Any], after: int) -> list[Event]:
    """The events in what was read after ``after``, up to a hole."""
    events = to_events(entries)
    if events and events[-1].event_id != after + len(events):
        return [event for place, event in enumerate(events, after + 1) if event.event_id == place]
    return events


def to_event(entry_id: bytes, fields: Sequence[bytes]) -> Event:
    """An event from an entry of the stream."""
    _, kind, _, data, _, elapsed_ms = fields
    return Event(int(entry_id[:-2]) - 1, TYPES[kind], data.decode(), int(elapsed_ms))


def to_events(entries: Sequence[Any]) -> list[Event]:
    """The events in what ``XREAD`` answered for one stream."""
    return [to_event(*entry) for entry in entries]
