"""A recorded history: what readers got, what the upstream was asked, what the database held. Pure values.

They share no code with the service. ``tests.promises`` holds them against the contract.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TERMINAL = ("done", "error")


@dataclass(frozen=True)
class Event:
    """A row of a log; ``type`` by its name on the wire, ``data`` as stored."""

    event_id: int
    type: str
    data: str

    @property
    def frame(self) -> bytes:
        """Its bytes on the wire, by the contract."""
        return f"event: {self.type}\nid: {self.event_id}\nretry: 10000\ndata: {self.data}\n\n".encode()

    @property
    def values(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.data)
        return values


@dataclass(frozen=True)
class Cost:
    """A row of the ledger; amounts and unit prices in pico-dollars, prices per token."""

    state: str
    prompt: int
    completion: int
    cached: int
    cache_write: int
    prices: tuple[int, int, int, int] | None
    """Of input, output, cached input and cache write."""
    total: int | None
    settled: bool

    @property
    def price_of_counts(self) -> int | None:
        """What the counts cost, each token once."""
        if self.prices is None:
            return None
        plain = self.prompt - self.cached - self.cache_write
        counts = (plain, self.completion, self.cached, self.cache_write)
        return sum(count * price for count, price in zip(counts, self.prices, strict=True))


@dataclass(frozen=True)
class Stored:
    """A stream in the database, all of it read in one snapshot. Times are seconds since the epoch."""

    status: str
    finish_reason: str
    end: int
    closed: bool
    finished_at: float | None
    events: tuple[Event, ...]
    costs: tuple[Cost, ...]

    @property
    def text(self) -> str:
        """The answer, as far as it came."""
        return "".join(event.values["content"] for event in self.events if event.type == "message_chunk")


Database = Mapping[str, Stored]


@dataclass(frozen=True)
class Reading:
    """What one connection got: frames as they came.

    ``ended``: ``clean``, ``cut``, ``left`` (by the reader), ``handed over`` (by a process that is about to end).
    """

    stream: str
    after: int
    frames: tuple[bytes, ...]
    ended: str

    @property
    def ids(self) -> list[int]:
        return [int(frame.split(b"\n")[1].removeprefix(b"id: ")) for frame in self.frames]

    @property
    def closes(self) -> bool:
        return bool(self.frames) and is_terminal(self.frames[-1])


@dataclass(frozen=True)
class Request:
    """One request about a stream, and its answer.

    ``verb``: ``start`` (may start), ``resume`` (says what it has), ``cancel``; ``look`` is every other. ``who`` asks;
    ``owned``: the stream is theirs; None where nobody's is of that name. ``told``: all of the answer that may tell.
    ``calm``: False where harm was being done meanwhile, and no answer is promised.
    """

    stream: str
    verb: str
    status: int
    at: float = 0.0
    who: str = ""
    owned: bool | None = True
    route: str = ""
    told: object = None
    calm: bool = True


@dataclass(frozen=True)
class Call:
    """A request that reached the upstream, and the status that it answered. Times are seconds since the epoch.

    Where it is known: ``text`` is all that it would say, and ``usage`` the prompt's and the answer's tokens that it
    would tell at the end.
    """

    stream: str
    status: int
    began: float
    ended: float | None
    text: str | None = None
    usage: tuple[int, int] | None = None


@dataclass(frozen=True)
class Death:
    """A process that was killed: when the database could be reached again, and the streams that it produced."""

    at: float
    streams: frozenset[str]


@dataclass(frozen=True)
class History:
    """All that was recorded. ``samples`` are the database at earlier moments, oldest first.

    ``harmed``: the streams whose producer's process was struck by anything, so that they may have been interrupted;
    None where that is not recorded.
    """

    database: Database
    readings: Sequence[Reading] = ()
    calls: Sequence[Call] = ()
    requests: Sequence[Request] = ()
    samples: Sequence[Database] = ()
    deaths: Sequence[Death] = ()
    harmed: frozenset[str] | None = None


def is_terminal(frame: bytes) -> bool:
    """Whether these are the bytes of a terminal event."""
    return frame.startswith((b"event: done\n", b"event: error\n"))
