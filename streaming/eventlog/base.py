"""The event log: an interface of five methods, and what every backend promises.

A backend is named in ``STREAM_EVENT_LOG`` by dotted path. ``tests/conformance`` runs against each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Protocol

from django.core.checks import CheckMessage

from streaming.endings import Ending
from streaming.events import Event

PAGE_BYTES = 64 * 1024
"""A page of frames is at most this long, unless one frame alone is longer."""

PAGE_EVENTS = 512
"""The most events of a page; 64 KiB of ordinary frames."""


class Outcome(Enum):
    """What became of an append."""

    APPLIED = "applied"
    """The events are durable, now or since an earlier identical call."""
    FENCED = "fenced"
    """Another producer has taken the stream, or the log's end is not where this one believes."""
    CLOSED = "closed"
    """The log has a terminal event that this producer did not write."""


@dataclass(frozen=True, slots=True)
class Append:
    """Events for the end of a log, with contiguous ids.

    ``stream`` is the key of the Stream, ``attempt`` the producer's claim on it. Where the last event is
    terminal the log is closed with it, and ``record`` runs once, in the same SQL transaction. With other
    events it is committed before they are shown, and may run again where the append is repeated.
    """

    stream: int
    attempt: int
    events: Sequence[Event]
    record: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """A log that is closed, with its terminal event; ``is_new``: by this very call, whose it is to count it."""

    event: Event
    is_new: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Frames after a cursor: ``last_event_id`` is that of the last one, ``closes`` whether it is terminal."""

    frames: bytes
    last_event_id: int
    closes: bool


class Follower(Protocol):
    """A place at the end of a log."""

    async def wait(self, after: int, seconds: float) -> bool:
        """Wait until there is something after ``after``; False where ``seconds`` brought nothing, or at ``wake``.

        Raises LogGone within 2 s where the log's end fell behind ``after``, or the log is gone.
        """
        ...

    async def ended(self, seconds: float) -> bool:
        """Wait until the log is closed, or gone; False where it was not within ``seconds``."""
        ...

    def wake(self) -> None:
        """End the waits on this stream now."""
        ...


class Handover(Protocol):
    """Brings queued starts to the workers, and tells of cancels. Best effort: SQL alone says who has a stream.

    A start goes by its token (see ``queued``), in an entry that is delivered again where it is not settled in a few
    seconds. All of these raise what the way to it raises.
    """

    async def put(self, *tokens: str) -> None:
        """Hand starts over."""
        ...

    async def take(self, most: int) -> dict[str, str]:
        """Tokens by entry, at most so many; waits for a moment where there are none."""
        ...

    async def settle(self, *entries: str) -> None:
        """Entries are done with."""
        ...

    async def waiting(self) -> dict[str, str]:
        """All tokens that are there by entry, whether delivered or not."""
        ...

    async def tell_cancel(self, stream: int) -> None:
        """Tell every process that a stream is to end."""
        ...

    async def cancelled(self) -> list[int]:
        """The streams that are to end, as told since the call before; waits for a moment where there are none."""
        ...


class EventLog(ABC):
    """Append-only logs of events, one per stream.

    * Durable: what ``append`` calls applied, and whatever ``read`` shows, is committed.
    * Ordered: ids are 0, 1, 2, … per stream; ``read`` never skips one.
    * Fenced: an append is applied only at the log's very end, by the attempt that holds it, and never
      after a terminal event. The same append again is a success.
    * Closed once: ``append`` of a terminal event and ``close`` exclude each other.
    * Kept in SQL: a closed stream's events are there, and its head is closed there, in the transaction that
      settles its cost. Of an open stream SQL may know less than the log.
    """

    failing: str | None = None
    """Why the log cannot be used at the moment, beyond the database; None where it can."""

    hands_over: ClassVar[bool] = False
    """Whether starts can be handed over to workers, through ``handover``."""

    handover: Handover | None = None

    @classmethod
    def check(cls, **options: Any) -> list[CheckMessage]:
        """System checks of what ``options`` name."""
        return []

    @abstractmethod
    def run(self) -> AbstractAsyncContextManager[None]:
        """Start and stop what the backend does in the background of this process's event loop.

        When it stops, appends that still wait raise StoreClosed; what is in the log can still be read.
        """

    @abstractmethod
    async def append(self, append: Append) -> Outcome:
        """Append; waits while the store is out of reach, until the outcome is known. Raises LogFull."""

    @abstractmethod
    async def close(self, stream: int, ending: Ending, *, attempt: int | None = None) -> Closed | None:
        """Close a stream at whatever its end is, and return the terminal event, whoever wrote it.

        For two callers only: the producer that cannot append any more, which names its ``attempt``, and
        anyone where the producer's process is dead. In any other case, and while somebody else is writing
        the stream's end, nothing is done; answers None.
        """

    @abstractmethod
    async def read(self, stream: int, after: int) -> Page | None:
        """The frames after event ``after``, at most ``PAGE_BYTES``; None where there are none (yet).

        Raises LogGone where events are missing that the log once had, or where ``after`` is beyond its end.
        """

    @abstractmethod
    def follow(self, stream: int, *, end: int = 0, closed: bool = False) -> AbstractContextManager[Follower]:
        """Be woken when the stream's log grows.

        ``end`` and ``closed``: what its head says, where the caller has read it. What is known to be there is not
        waited for.
        """
