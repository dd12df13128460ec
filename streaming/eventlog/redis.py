"""The event log in Redis Streams, for many processes on many machines; kept in SQL when a stream ends.

Redis 7 or newer, or Valkey; one primary, with replicas or without. A cluster is not supported: one blocking
read follows all streams of a process, and those would lie on many nodes.

What is true: of an open stream, Redis; of a closed one, SQL. Closing takes three steps, that anyone may
finish: no more appends (``freeze.lua``); the whole log, its terminal event, status and cost in one SQL
transaction, at most once; then those very bytes are shown (``publish.lua``), and Redis lets go of them.

Durable by Redis' append-only file: an append is answered, and shown to anyone, after the write of that file.
With ``appendfsync always`` it survives a power cut; with ``everysec`` a killed Redis, but a power cut takes
the last second of the streams that are open; without the file a restart takes all of them. A system check
warns of that. A fail-over may take what the replica did not have.

* Redis is away, silent, starting or read-only: appends wait, and are repeated until their outcome is known;
  readers get comments; starts are refused with 503.
* Redis lost an open stream, or its end: its producer is fenced, and closes it at the end that is left, as
  ``internal``; readers that are ahead of that are disconnected, and meet 409. Its cost is that of the counts
  which its producer had.
* Redis is out of memory: appends wait for ``FULL_SECONDS``, then streams end, which frees memory.
* Redis evicts keys (any policy but ``noeviction``): as if it had lost these streams.
* SQL is out of reach: live streams go on; none starts or ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from django.core.checks import CheckMessage
from django.db import Error
from redis.exceptions import RedisError

from streaming.endings import Ending
from streaming.errors import LogGone
from streaming.eventlog import redis_checks
from streaming.eventlog.base import PAGE_EVENTS, Append, Closed, EventLog, Follower, Outcome, Page
from streaming.eventlog.database import Closing, append_all, close_all
from streaming.eventlog.kept import find_closable, run_records, select_places
from streaming.eventlog.pages import StoredPages
from streaming.eventlog.redis_following import Following
from streaming.eventlog.redis_link import Link
from streaming.eventlog.redis_logs import Logs
from streaming.eventlog.redis_room import Room
from streaming.eventlog.redis_scripts import APPEND, FREEZE, Log, look, read_on, to_arguments, to_contiguous, to_stretch
from streaming.eventlog.redis_starts import RedisHandover
from streaming.eventlog.tails import Tail, Tails, to_page
from streaming.events import Event
from streaming.store import Store

logger = logging.getLogger("streaming.eventlog")

KEEP_SECONDS = 24 * 3600
"""A log that nobody has appended to or closed for so long expires."""

MAKE_SECONDS = 30
"""A log is made no later than this after SQL said that its stream is open; a closed one is remembered for longer."""

EVENTS_AT_ONCE = 50_000
"""Of whole logs that are on their way to SQL, and in memory. A killed process may leave hundreds of short ones."""


class RedisEventLog(EventLog):
    """See the module. ``url`` as redis-py takes it; ``prefix`` begins all keys.

    ``poll_seconds``: how often the ends of the streams that are followed are looked at, besides the blocking
    read: it tells of what Redis has lost.
    """

    hands_over = True

    def __init__(self, store: Store, *, url: str, prefix: str = "magic", poll_seconds: float = 0.5) -> None:
        self._store = store
        self._poll_seconds = poll_seconds
        self._link = Link(url)
        self._tails = Tails()
        self._pages = StoredPages(store)
        self._logs = Logs(prefix, self._link)
        self._following = Following(store, self._link, self._tails, self._logs, self._pages, poll_seconds)
        self._closing = Room(EVENTS_AT_ONCE)
        self.handover = RedisHandover(store, self._link, prefix)

    @classmethod
    def check(cls, **options: Any) -> list[CheckMessage]:
        return redis_checks.check(options["url"])

    @property
    def failing(self) -> str | None:  # type: ignore[override]  # it changes by itself
        return self._link.failing

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._following.run())
        try:
            yield
        finally:
            self._following.end()
            task.cancel()
            await asyncio.wait((task,))
            await self._link.stop()

    async def append(self, append: Append) -> Outcome:
        ends = append.events[-1].type.is_terminal
        outcome = await (self._append_end(append) if ends else self._append_live(append))
        applied = outcome is Outcome.APPLIED
        if (tail := self._tails.get(append.stream)) is not None:
            tail.written_here = applied
            if applied:
                tail.extend(append.events)
        if ends and applied and (log := self._logs.get(append.stream)) is not None:
            await self._logs.publish(log, append.events)
        return outcome

    async def close(self, stream: int, ending: Ending, *, attempt: int | None = None) -> Closed | None:
        closing = Closing(stream, ending, attempt)
        place = await self._store.write(find_closable, closing)
        if place is None:
            return None
        if not place.closed:
            log = self._logs.learn(stream, place)
            state, end = await self._link.repeat(FREEZE.on(log, place.attempt, -1, KEEP_SECONDS))
            if state == b"fenced":
                return None
            async with self._closing.take(end):
                events = await self._read_whole(log, end)
                # Its attempt is named: that its process was dead is settled. One that renews its lease just now is too
                # late, its log is frozen; asked again, SQL would refuse, and nobody could end the stream properly.
                closed = await self._store.write(close_all, replace(closing, events=events, attempt=place.attempt))
            if closed is not None and closed.event.event_id == len(events):
                await self._logs.publish(log, [closed.event])
        else:
            closed = await self._store.write(close_all, closing)
        if closed is not None and (tail := self._tails.get(stream)) is not None:
            tail.written_here = False
            tail.reach(closed.event.event_id + 1, closed=True)
        return closed

    async def read(self, stream: int, after: int) -> Page | None:
        try:
            return await self._tails.read(stream, after, self._load)
        except (RedisError, OSError, Error) as error:
            logger.warning("cannot read", extra={"error": type(error).__name__})
            await asyncio.sleep(self._poll_seconds)
            return None

    @contextmanager
    def follow(self, stream: int, *, end: int = 0, closed: bool = False) -> Iterator[Follower]:
        with self._tails.use(stream) as tail:
            tail.reach(end, closed=closed)
            yield _Place(tail, self._following)

    async def _append_live(self, append: Append) -> Outcome:
        if append.record is not None:
            await self._store.write(run_records, append.record)
        first, made_until = append.events[0].event_id, 0
        if first == 0:
            now, _ = await self._link.repeat(("TIME",))
            made_until = int(now) + MAKE_SECONDS
        if (log := await self._find(append)) is None:
            return await self._judge(append)
        fields = (append.attempt, first, made_until, KEEP_SECONDS, *to_arguments(append.events))
        state = await self._link.repeat(APPEND.on(log, *fields))
        return Outcome.APPLIED if state == b"applied" else await self._judge(append)

    async def _append_end(self, append: Append) -> Outcome:
        """The first two of the three steps. What comes with the terminal event goes by way of SQL as well."""
        first = append.events[0].event_id
        if (log := await self._find(append)) is None:
            return await self._judge(append)
        state, _ = await self._link.repeat(FREEZE.on(log, append.attempt, first, KEEP_SECONDS))
        if state != b"frozen":
            return await self._judge(append)
        async with self._closing.take(first):
            events = await self._read_whole(log, first)
            if len(events) < first:
                return Outcome.FENCED
            whole = replace(append, events=[*events, *append.events])
            return await self._store.write(append_all, whole)

    async def _find(self, append: Append) -> Log | None:
        """The log to append to. Who begins one asks SQL; None where the stream is not this attempt's, or closed."""
        log = self._logs.get(append.stream)
        if log is None or append.events[0].event_id == 0:
            place = await self._store.write(select_places, append.stream)
            if place is None or place.closed or place.attempt != append.attempt:
                return None
            log = self._logs.learn(append.stream, place)
        return log

    async def _judge(self, append: Append) -> Outcome:
        """The outcome of an append that Redis did not take. Of a closed stream SQL tells whether it is in there."""
        place = await self._store.write(select_places, append.stream)
        if place is not None and place.closed:
            return await self._store.write(append_all, append)
        return Outcome.FENCED

    async def _read_whole(self, log: Log, end: int) -> list[Event]:
        """A frozen log up to ``end``, or up to where something is missing."""
        events: list[Event] = []
        while len(events) < end:
            after = len(events) - 1
            part = to_contiguous(await self._link.repeat(read_on(log, after)), after)
            events += part
            if len(part) < PAGE_EVENTS:
                break
        return [event for event in events[:end] if not event.type.is_terminal]

    async def _load(self, stream: int, after: int, tail: Tail | None) -> Page | None:
        """From Redis while the stream is open, else as from any log that is kept in SQL."""
        if (log := self._logs.get(stream)) is None:
            [place] = await self._store.read(select_places, [stream])
            if place is None or place.closed:
                return await self._pages.load(stream, after, tail)
            log = self._logs.learn(stream, place)
        known_end = 0 if tail is None else tail.end
        if tail is None or not tail.closed:
            most = PAGE_EVENTS if tail is None else tail.read_events
            head, entries = await self._link.ask(look(log), read_on(log, after, most))
            live = to_stretch(head, entries, after)
            if live.state in {"open", "frozen"} and live.end > 0:
                if after >= live.end or not live.whole:
                    raise LogGone(live.end)
                if tail is None:
                    return to_page(live.events)
                tail.reach(live.end, closed=False)
                self._following.locate(tail)
                return tail.take(after, live.events)
        if tail is not None and tail.end > known_end:
            # It has begun, or ended, since Redis was asked.
            return tail.page(after) or await self._load(stream, after, tail)
        return await self._pages.load(stream, after, tail)


class _Place(Follower):
    """A place at a tail. Who reads before waiting has asked for the log's end by that; who has not, asks for it now."""

    __slots__ = ("_following", "_tail")

    def __init__(self, tail: Tail, following: Following) -> None:
        self._tail = tail
        self._following = following

    async def wait(self, after: int, seconds: float) -> bool:
        self._following.add(self._tail)
        return await self._tail.wait(after, seconds)

    async def ended(self, seconds: float) -> bool:
        self._following.add(self._tail)
        return await self._tail.ended(seconds)

    def wake(self) -> None:
        self._tail.wake()
