"""Notices: what the processes on one PostgreSQL tell each other by NOTIFY, so that none has to wait for its next look.

A notice is a hint, never the truth: it names streams, and whoever hears it asks the database. One may be lost, with
the process that was about to send it, with a connection, or behind a pooler in transaction mode, where LISTEN holds for
nobody; then the looks find it. On SQLite nothing is told, and nothing heard.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any

from django.db import Error, connection

logger = logging.getLogger("streaming.notices")

CHANNEL = "streaming"
GROWN, CANCELLED = "grown", "cancelled"

MAX_PAYLOAD = 7999
"""PostgreSQL's limit, in bytes."""

REST_SECONDS = 0.01
"""Between two notices of what has grown: what grows meanwhile is told together."""

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 2.0

NOT_FOR_ASYNC = ("cursor_factory", "context")
"""What Django gives its own connections, and another kind of connection does not take."""


class Topic:
    """The streams that one kind of notice has named since they were last taken."""

    def __init__(self) -> None:
        self._streams: set[int] = set()
        self._any = False
        self._told = asyncio.Event()

    def add(self, streams: Collection[int]) -> None:
        """Some streams; none named: any may be meant."""
        self._streams.update(streams)
        self._any = self._any or not streams
        self._told.set()

    async def wait(self, seconds: float) -> None:
        """Until something is told that was not taken yet, or ``seconds`` are over; takes it."""
        # Not wait_for: before Python 3.12 it may swallow a cancellation.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.take()

    async def take(self) -> set[int]:
        """Wait for streams and take them; empty: any may be meant."""
        await self._told.wait()
        self._told.clear()
        streams, named = self._streams, not self._any
        self._streams, self._any = set(), False
        return streams if named else set()


class Notices:
    """What one process tells and hears. ``read`` runs a query in a thread; see ``Store.read``."""

    def __init__(self, read: Callable[..., Awaitable[Any]]) -> None:
        self.grown = Topic()
        """Logs that have grown, in any process."""
        self.cancelled = Topic()
        """Streams that are to end."""
        self._read = read
        self._to_tell = Topic()

    def tell_grown(self, stream: int) -> None:
        """Tell the others that a log has grown: it is committed."""
        self._to_tell.add((stream,))

    async def run(self) -> None:
        """Until cancelled: tell and hear. Ends at once where the database has no notices."""
        if connection.vendor != "postgresql":
            return
        async with asyncio.TaskGroup() as halves:
            halves.create_task(self._tell())
            halves.create_task(self._hear())

    async def _tell(self) -> None:
        # Not in the transaction of what it tells of: that would hold, to the end of its commit and of the disk's sync,
        # a lock that all transactions with a notice share.
        while True:
            streams = await self._to_tell.take()
            with suppress(Error):
                await self._read(send, GROWN, streams)
            await asyncio.sleep(REST_SECONDS)

    async def _hear(self) -> None:
        retry = FIRST_RETRY_SECONDS
        while True:
            try:
                async with _listening() as payloads:
                    retry = FIRST_RETRY_SECONDS
                    # Whatever was told while nobody listened.
                    for topic in (self.grown, self.cancelled):
                        topic.add(())
                    async for payload in payloads:
                        self._note(payload)
            except Exception as error:
                if retry == FIRST_RETRY_SECONDS:
                    logger.warning("cannot listen, looking instead", extra={"error": type(error).__name__})
            await asyncio.sleep(retry)
            retry = min(2 * retry, LAST_RETRY_SECONDS)

    def _note(self, payload: str) -> None:
        kind, _, streams = payload.partition(" ")
        topic = {GROWN: self.grown, CANCELLED: self.cancelled}.get(kind)
        if topic is not None:  # else a newer version's
            topic.add([int(stream) for stream in streams.split(",") if stream.isdecimal()])


def send(kind: str, streams: Collection[int]) -> None:
    """Tell all processes, this one among them, once the transaction is committed where there is one. Synchronous."""
    if connection.vendor != "postgresql":
        return
    payload = f"{kind} {','.join(map(str, sorted(streams)))}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload if len(payload) <= MAX_PAYLOAD else kind])


@asynccontextmanager
async def _listening() -> AsyncIterator[AsyncIterator[str]]:
    """What is told from now on. Raises the driver's errors, also where the connection breaks."""
    django: Any = connection
    parameters = django.get_connection_params()
    for name in NOT_FOR_ASYNC:
        parameters.pop(name, None)
    link = await django.Database.AsyncConnection.connect(**parameters, autocommit=True)
    try:
        await link.execute(f"LISTEN {CHANNEL}")
        yield (notice.payload async for notice in link.notifies())
    finally:
        await link.close()
