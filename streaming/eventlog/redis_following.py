"""Tells the tails of a process what becomes of their logs: one blocking read for all of them, and a look around."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from redis.asyncio.connection import Connection

from streaming.eventlog.kept import Place, select_places
from streaming.eventlog.pages import StoredPages
from streaming.eventlog.redis_link import Link, send, send_to_primary
from streaming.eventlog.redis_logs import Logs
from streaming.eventlog.redis_scripts import Command, Log, look, to_events
from streaming.eventlog.stored import read_part, select_pruned
from streaming.eventlog.tails import Tail, Tails
from streaming.store import Store

logger = logging.getLogger("streaming.eventlog")

BLOCK_MS = 1000
EVENTS_AT_ONCE = 128
"""The most events of one stream that one read brings."""

INTERRUPT_SECONDS = 0.01
"""How long an interrupted read has to end before it is interrupted again: it may just not have begun."""


class Following:
    """Follows the logs of the tails in use. Those that this process writes itself tell their tails without it."""

    def __init__(
        self, store: Store, link: Link, tails: Tails, logs: Logs, pages: StoredPages, poll_seconds: float
    ) -> None:
        self._pages = pages
        self._store = store
        self._link = link
        self._tails = tails
        self._logs = logs
        self._poll_seconds = poll_seconds
        self._new = asyncio.Event()
        self._changed = asyncio.Event()
        self._over = False

    def add(self, tail: Tail) -> None:
        """Somebody is about to wait at a tail: its end has to be known, if it is not."""
        if not tail.located:
            self._new.set()

    def locate(self, tail: Tail) -> None:
        """A tail's end was just read, and is followed from there."""
        if not tail.located:
            tail.located = True
            self._changed.set()

    async def run(self) -> None:
        """Until ``end``, or cancelled; ends when both halves have."""
        async with asyncio.TaskGroup() as halves:
            halves.create_task(self._read_on())
            halves.create_task(self._look_around())

    def end(self) -> None:
        """Follow no longer. Besides a cancellation, which a connection that breaks while it closes may cover up."""
        self._over = True

    async def _read_on(self) -> None:
        while not self._over:
            try:
                async with self._link.connection() as connection:
                    [client] = await send_to_primary(connection, [("CLIENT", "ID")])
                    while not self._over and not connection.should_reconnect():  # type: ignore[no-untyped-call]
                        await self._read_once(connection, client)
            except Exception as error:
                logger.warning("cannot follow", extra={"error": type(error).__name__})
                await asyncio.sleep(self._poll_seconds)

    async def _read_once(self, connection: Connection, client: int) -> None:
        self._changed.clear()
        followed = {log.events: tail for tail in self._tails.open() if (log := self._followed(tail))}
        if not followed:
            await self._changed.wait()
            return
        places = [f"{tail.end}-0" for tail in followed.values()]
        read: Command = ("XREAD", "COUNT", EVENTS_AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS", *followed, *places)
        for name, entries in await self._read_until_changed(connection, client, read):
            followed[name.decode()].extend(to_events(entries))

    def _followed(self, tail: Tail) -> Log | None:
        return self._logs.get(tail.stream) if tail.located and not tail.written_here else None

    async def _read_until_changed(self, connection: Connection, client: int, command: Command) -> Sequence[Any]:
        """The answer to a blocking read, which ends early where a tail comes into use."""
        reading = asyncio.create_task(send(connection, [command]))
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait((reading, changed), return_when=asyncio.FIRST_COMPLETED)
            while not reading.done():
                await self._link.ask(("CLIENT", "UNBLOCK", client))
                await asyncio.wait((reading,), timeout=INTERRUPT_SECONDS)
            [answer] = await reading
        finally:
            changed.cancel()
            reading.cancel()
        if isinstance(answer, Exception):
            raise answer
        return answer or ()

    async def _look_around(self) -> None:
        """Look at all ends now and then, and at those of new tails at once: from there on they are followed."""
        looked = monotonic()
        while not self._over:
            # Not wait_for: before Python 3.12 it may swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._new.wait()
            self._new.clear()
            due = monotonic() - looked >= self._poll_seconds
            try:
                await self._look([tail for tail in self._tails.open() if due or not tail.located])
                if due:
                    looked = monotonic()
                    await self._look_for_pruned()
            except Exception as error:
                logger.warning("cannot look at the heads", extra={"error": type(error).__name__})
                await asyncio.sleep(self._poll_seconds)

    async def _look_for_pruned(self) -> None:
        if closed := [tail.stream for tail in self._tails.closed()]:
            for stream in await self._store.read(select_pruned, closed):
                self._pages.forget(stream)
                if (tail := self._tails.get(stream)) is not None:
                    tail.lose()

    async def _look(self, tails: Collection[Tail]) -> None:
        """Compare what tails know with Redis, and then with SQL, which has the last word. Raises RedisError, Error."""
        known = {tail.stream: tail.end for tail in tails}
        if unknown := [stream for stream in known if self._logs.get(stream) is None]:
            for stream, place in zip(unknown, await self._store.read(select_places, unknown), strict=True):
                if place is not None:
                    self._logs.learn(stream, place)
        logs = {stream: log for stream in known if (log := self._logs.get(stream))}
        asked = [look(log) for log in logs.values()]
        heads = dict(zip(logs, await self._link.ask(*asked or [("PING",)]), strict=False))
        places = await self._store.read(select_places, list(known)) if known else []
        for tail, place in zip(tails, places, strict=True):
            await self._compare(tail, known[tail.stream], heads.get(tail.stream), place)
            self.locate(tail)

    async def _compare(self, tail: Tail, known: int, head: Sequence[bytes | None] | None, place: Place | None) -> None:
        """``known`` was known before ``head`` and ``place`` were read: an end before it has really fallen back."""
        end, state = (int(head[0]), head[1]) if head and head[0] is not None else (0, None)
        end = place.end if place is not None and (place.closed or state is None) else end
        if place is None or end < known:
            tail.lose(end)
            return
        tail.reach(end, closed=place.closed)
        if place.closed and state in {b"open", b"frozen"}:
            await self._publish(tail.stream, int((head or (0,))[0] or 0), place)

    async def _publish(self, stream: int, end: int, place: Place) -> None:
        """The last step of a closing that somebody else did not finish."""
        events = (await self._store.read(read_part, stream, end - 1)).events
        if events and events[-1].event_id + 1 == place.end:
            await self._logs.publish(self._logs.learn(stream, place), events)
