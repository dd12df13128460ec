"""The way of queued starts to the workers, through Redis: a stream of tokens that a consumer group shares.

It holds no more than names: a start's prompt and its state are in SQL. So an entry may be lost, doubled, or come late
(see ``queue``). One that was read and not settled is read again after ``AGAIN_MS``, by whoever looks first: its reader
was killed, or paused, or cannot produce it. All workers read under one consumer's name: SQL says who has a stream, and
the names of those who were killed would pile up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from streaming.eventlog.redis_link import Link, send
from streaming.queued import find_installation
from streaming.store import Store

GROUP, CONSUMER = "workers", "worker"
BLOCK_MS = 500
AGAIN_MS = 3000

MOST_WAITING = 10_000
"""Entries that are looked at to find what was lost; the queue is shorter."""

CANCELS_KEPT = 1000
"""Who reads them reads all the time; a cancel that is missed is found in SQL."""

EMPTIED = ("NOGROUP", "UNBLOCKED")
"""The errors where the stream, and with it its group, was there and is gone."""


class RedisHandover:
    """See the module, and ``eventlog.base.Handover``."""

    def __init__(self, store: Store, link: Link, prefix: str) -> None:
        self._store = store
        self._link = link
        self._prefix = prefix
        self._installation: str | None = None
        self._cancels_after: str | None = None

    async def put(self, *tokens: str) -> None:
        starts = await self._key("starts")
        await self._link.ask(*(("XADD", starts, "*", "s", token) for token in tokens))

    async def take(self, most: int) -> dict[str, str]:
        starts = await self._key("starts")
        try:
            again = ("XAUTOCLAIM", starts, GROUP, CONSUMER, AGAIN_MS, "0", "COUNT", most)
            [left] = await self._link.ask(again)
            return _tokens(left[1]) or _tokens(await self._read_new(starts, most))
        except ResponseError as error:
            if not str(error).startswith(EMPTIED):
                raise
            await self._make_group(starts)
            return {}

    async def settle(self, *entries: str) -> None:
        starts = await self._key("starts")
        await self._link.ask(("XACK", starts, GROUP, *entries), ("XDEL", starts, *entries))

    async def waiting(self) -> dict[str, str]:
        [entries] = await self._link.ask(("XRANGE", await self._key("starts"), "-", "+", "COUNT", MOST_WAITING))
        return _tokens(entries)

    async def tell_cancel(self, stream: int) -> None:
        await self._link.ask(("XADD", await self._key("cancels"), "MAXLEN", CANCELS_KEPT, "*", "s", stream))

    async def cancelled(self) -> list[int]:
        cancels = await self._key("cancels")
        if self._cancels_after is None:
            [(seconds, micros)] = await self._link.ask(("TIME",))
            self._cancels_after = f"{int(seconds) * 1000 + int(micros) // 1000}-0"
        read = ("XREAD", "COUNT", CANCELS_KEPT, "BLOCK", BLOCK_MS, "STREAMS", cancels, self._cancels_after)
        told = _tokens(await self._block(read))
        self._cancels_after = next(reversed(told), self._cancels_after)
        return [int(stream) for stream in told.values()]

    async def _read_new(self, starts: str, most: int) -> Sequence[Any]:
        group = ("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", most, "BLOCK", BLOCK_MS, "STREAMS", starts, ">")
        return await self._block(group)

    async def _block(self, read: Sequence[str | int]) -> Sequence[Any]:
        """The entries that a blocking read of one stream brings. Raises RedisError."""
        async with self._link.connection() as connection:
            [answer] = await send(connection, [read])
            if isinstance(answer, Exception):
                raise answer
        return answer[0][1] if answer else ()

    async def _make_group(self, starts: str) -> None:
        """From the stream's beginning: what is there before its group was not handed to anybody."""
        try:
            await self._link.ask(("XGROUP", "CREATE", starts, GROUP, "0", "MKSTREAM"))
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _key(self, what: str) -> str:
        """Several installations may share a Redis, under one prefix. Raises Error."""
        if self._installation is None:
            self._installation = await self._store.read(find_installation)
        return f"{self._prefix}:{self._installation}:{what}"


def _tokens(entries: Sequence[Any]) -> dict[str, str]:
    """Token by entry id, in order; an entry that was deleted meanwhile has no fields."""
    return {entry.decode(): fields[1].decode() for entry, fields in entries if fields}
