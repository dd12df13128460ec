"""The event log in SQL: SQLite or PostgreSQL.

Durable by the commit. Wakes the readers of its own process at once; other processes find out by asking for the heads of
the streams that they follow, all in one query, every ``poll_seconds``, and on PostgreSQL of those that are told of (see
``notices``) at once.

While the database is out of reach, appends wait and readers see nothing new; a connection lost in the
middle of a commit leaves its outcome unknown, and the identical append is repeated until it is known.

A closed log's rows become records some time later (see ``sealing``); whoever reads it does not notice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

from django.db import Error, connection

from streaming import ledger
from streaming.endings import Ending
from streaming.eventlog.base import Append, Closed, EventLog, Follower, Outcome, Page
from streaming.eventlog.pages import StoredPages
from streaming.eventlog.stored import events_between, select_heads, select_pruned
from streaming.eventlog.tails import Tail, Tails
from streaming.events import Event
from streaming.lease import is_dead, store_clock
from streaming.models import Process, Stream, StreamEvent, StreamHead
from streaming.store import Store

logger = logging.getLogger("streaming.eventlog")

HEADS = StreamHead._meta.db_table
EVENTS = StreamEvent._meta.db_table
INSERT_EVENT = f"INSERT INTO {EVENTS} (stream_id, event_id, type, data, elapsed_ms) VALUES (%s, %s, %s, %s, %s)"
COPY_EVENTS = f"COPY {EVENTS} (stream_id, event_id, type, data, elapsed_ms) FROM STDIN"
MOVE_HEAD = f"UPDATE {HEADS} SET next_event_id = %s, closed = %s WHERE stream_id = %s"
MOVE_HEADS = (
    f"UPDATE {HEADS} SET next_event_id = moved.next, closed = moved.closed"
    " FROM unnest(%s::bigint[], %s::bool[], %s::bigint[]) AS moved(next, closed, stream)"
    f" WHERE {HEADS}.stream_id = moved.stream"
)
"""For PostgreSQL: after executemany, a pipeline, it does not end the transaction of a process that is paused."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A stream to be closed on its producer's behalf."""

    stream: int
    ending: Ending
    attempt: int | None
    events: Sequence[Event] = ()
    """The whole log, where SQL does not have it yet."""


class DatabaseEventLog(EventLog):
    """See the module. ``poll_seconds``: how often the heads of followed streams are looked at."""

    def __init__(self, store: Store, *, poll_seconds: float = 0.25) -> None:
        self._store = store
        self._poll_seconds = poll_seconds
        self._tails = Tails()
        self._pages = StoredPages(store)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (self._poll(), self._hear())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def append(self, append: Append) -> Outcome:
        outcome = await self._store.write(append_all, append)
        if outcome is Outcome.APPLIED:
            self._tell(append.stream)
            if (tail := self._tails.get(append.stream)) is not None:
                tail.written_here = True
                tail.extend(append.events)
        return outcome

    async def close(self, stream: int, ending: Ending, *, attempt: int | None = None) -> Closed | None:
        closed = await self._store.write(close_all, Closing(stream, ending, attempt))
        if closed is not None:
            self._tell(stream)
            if (tail := self._tails.get(stream)) is not None:
                tail.reach(closed.event.event_id + 1, closed=True)
        return closed

    async def read(self, stream: int, after: int) -> Page | None:
        try:
            return await self._tails.read(stream, after, self._pages.load)
        except Error as error:
            logger.warning("cannot read", extra={"error": type(error).__name__})
            await asyncio.sleep(self._poll_seconds)
            return None

    @contextmanager
    def follow(self, stream: int, *, end: int = 0, closed: bool = False) -> Iterator[Follower]:
        with self._tails.use(stream) as tail:
            tail.reach(end, closed=closed)
            yield tail

    def _tell(self, stream: int) -> None:
        if self._store.others_write:
            self._store.notices.tell_grown(stream)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            with _logged():
                await self._look(self._tails.open())
                await self._look_for_pruned()

    async def _hear(self) -> None:
        """Look at once at what others say has grown."""
        while True:
            told = await self._store.notices.grown.take()
            tails = [tail for tail in self._tails.open() if not told or tail.stream in told]
            with _logged():
                await self._look([tail for tail in tails if not tail.written_here])

    async def _look(self, tails: list[Tail]) -> None:
        """Compare what tails know with the heads. Raises Error."""
        known = {tail.stream: tail.end for tail in tails}
        heads = await self._store.read(select_heads, list(known)) if known else {}
        for stream, known_end in known.items():
            if (tail := self._tails.get(stream)) is not None:
                _compare(tail, known_end, heads.get(stream))

    async def _look_for_pruned(self) -> None:
        closed = [tail.stream for tail in self._tails.closed()]
        for stream in await self._store.read(select_pruned, closed) if closed else ():
            self._pages.forget(stream)
            if (tail := self._tails.get(stream)) is not None:
                tail.lose()


@contextmanager
def _logged() -> Iterator[None]:
    """What fails is told, and tried again with the next look."""
    try:
        yield
    except Exception as error:
        logger.warning("cannot look at the heads", extra={"error": type(error).__name__})


def _compare(tail: Tail, known_end: int, head: tuple[int, bool] | None) -> None:
    """``known_end`` was known before the head was read: a head behind it has really fallen back."""
    if head is None or head[0] < known_end:
        tail.lose(head and head[0])
    else:
        tail.reach(head[0], closed=head[1])


def append_all(appends: list[Append]) -> list[Outcome]:
    """Append to many logs; in one transaction of the caller. One that is fenced does not fail the others."""
    heads = _lock_heads(append.stream for append in appends)
    outcomes, applied = [], []
    for append in appends:
        head = heads.get(append.stream)
        outcome = _judge(append, head)
        if outcome is None:
            last = append.events[-1]
            heads[append.stream] = (append.attempt, last.event_id + 1, last.type.is_terminal)
            applied.append(append)
        outcomes.append(outcome or Outcome.APPLIED)
    _apply(applied, heads)
    return outcomes


def close_all(closings: list[Closing]) -> list[Closed | None]:
    """Close streams on their producers' behalf; in one transaction of the caller.

    A head that another transaction holds is left to it: it may be that of a process that is paused.
    """
    heads = _lock_heads(
        (closing.stream for closing in closings), skip_locked=connection.features.has_select_for_update_skip_locked
    )
    wanted = [closing for closing in closings if closing.stream in heads and _may_close(closing, heads[closing.stream])]
    orphans = without_producer({closing.stream for closing in wanted if closing.attempt is None})
    streams = Stream.objects.select_related("cost").in_bulk([closing.stream for closing in wanted])
    appends: dict[int, Append] = {}
    for closing in wanted:
        if closing.stream not in appends and (closing.attempt is not None or closing.stream in orphans):
            _keep(closing, heads)
            append = _closing_append(closing, streams[closing.stream], heads[closing.stream])
            appends[closing.stream] = append
    for append in appends.values():
        heads[append.stream] = (append.attempt, append.events[0].event_id + 1, True)
    _apply(list(appends.values()), heads)
    made = {append.stream: append.events[0] for append in appends.values()}
    return [_closed(closing.stream, heads, made) for closing in closings]


def _lock_heads(streams: Iterable[int], *, skip_locked: bool = False) -> dict[int, tuple[int, int, bool]]:
    """``(attempt, next event id, closed)`` by stream, locked in key order until the transaction ends.

    SQLite has no row locks and needs none: its transactions here begin with the write lock.
    """
    keys = sorted(set(streams))
    rows = StreamHead.objects.filter(pk__in=keys).order_by("pk").select_for_update(skip_locked=skip_locked)
    found = rows.values_list("pk", "attempt", "next_event_id", "closed")
    return {stream: (attempt, end, closed) for stream, attempt, end, closed in found}


def _judge(append: Append, head: tuple[int, int, bool] | None) -> Outcome | None:
    """The outcome of an append that must not be applied (again); None for one that must."""
    if head is None:
        return Outcome.FENCED
    attempt, end, closed = head
    if not closed and attempt == append.attempt and end == append.events[0].event_id:
        return None
    if attempt == append.attempt and end > append.events[-1].event_id and _is_there(append):
        return Outcome.APPLIED
    return Outcome.CLOSED if closed else Outcome.FENCED


def _is_there(append: Append) -> bool:
    """Whether these events are in the log, byte for byte; when they were made does not count."""
    stored = events_between(append.stream, append.events[0].event_id, append.events[-1].event_id)
    return [(event.event_id, event.type, event.data) for event in stored] == [
        (event.event_id, event.type, event.data) for event in append.events
    ]


def _insert(appends: list[Append]) -> None:
    rows = [
        (append.stream, event.event_id, event.type.value, event.data, event.elapsed_ms)
        for append in appends
        for event in append.events
    ]
    if not rows:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Django passes copy() on as it is, so that the driver's errors would come through as they are.
            with connection.wrap_database_errors, cursor.copy(COPY_EVENTS) as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            cursor.executemany(INSERT_EVENT, rows)


def _move_heads(moved: list[tuple[int, bool, int]]) -> None:
    """Write ``(next event id, closed, stream)``; of a stream that is there twice, both are the last."""
    if not moved:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(MOVE_HEADS, [list(column) for column in zip(*moved, strict=True)])
        else:
            cursor.executemany(MOVE_HEAD, moved)


def _apply(appends: list[Append], heads: dict[int, tuple[int, int, bool]]) -> None:
    """Write what is to be appended, and the heads as they are then."""
    _insert(appends)
    _move_heads([(*heads[append.stream][1:], append.stream) for append in appends])
    for append in appends:
        if append.record is not None:
            append.record()


def _may_close(closing: Closing, head: tuple[int, int, bool]) -> bool:
    attempt, _, closed = head
    return not closed and closing.attempt in {None, attempt}


def _keep(closing: Closing, heads: dict[int, tuple[int, int, bool]]) -> None:
    """Write the events that are not in SQL yet."""
    attempt, end, _ = heads[closing.stream]
    if events := closing.events[end:]:
        _insert([Append(closing.stream, attempt, events)])
        heads[closing.stream] = (attempt, end + len(events), False)


def _closing_append(closing: Closing, stream: Stream, head: tuple[int, int, bool]) -> Append:
    attempt, end, _ = head
    settlement = ledger.settlement_from_log(stream, closing.ending)
    event = Event(end, closing.ending.event_type, settlement.data, settlement.latency_ms)
    return Append(closing.stream, attempt, [event], partial(ledger.settle, closing.stream, settlement))


def _closed(stream: int, heads: dict[int, tuple[int, int, bool]], made: dict[int, Event]) -> Closed | None:
    """Of several that close a stream in one transaction, the first has done it."""
    if (event := made.pop(stream, None)) is not None:
        return Closed(event, is_new=True)
    event = _terminal(stream, heads)
    return None if event is None else Closed(event, is_new=False)


def _terminal(stream: int, heads: dict[int, tuple[int, int, bool]]) -> Event | None:
    """The terminal event of a closed stream; None of one that is open, locked by others, or pruned."""
    if stream not in heads or not heads[stream][2]:
        return None
    last = heads[stream][1] - 1
    return next(iter(events_between(stream, last, last)), None)


def without_producer(streams: set[int]) -> set[int]:
    """Those of these streams whose producer's process is dead. One that is queued waits for a producer."""
    if not streams:
        return set()
    heads = StreamHead.objects.filter(pk__in=streams)
    dead = Process.objects.filter(is_dead(store_clock()), pk__in=heads.values("process")).values_list("pk", flat=True)
    return set(heads.filter(process__in=set(dead)).values_list("pk", flat=True))
