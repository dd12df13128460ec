"""The process's way to Redis: commands that are repeated until their outcome is known, and questions.

Redis may be away, silent, starting, full, or a replica that is not promoted yet. A command waits for all of
that and is repeated as it is, so every script bears that. A question fails, for its caller to ask again.

A replica answers questions too, but what it does not have yet is not lost. So answers count only where the server says
with them that it is a primary. One that became a replica may keep its connections open, so all of them are given up.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic
from typing import Any

from redis.asyncio.connection import BlockingConnectionPool, Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ConnectionError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from streaming.errors import LogFull
from streaming.eventlog.redis_scripts import ALL, Command
from streaming.store import StoreClosed

logger = logging.getLogger("streaming.eventlog")

CONNECTIONS = 8
CONNECT_SECONDS = 2
ANSWER_SECONDS = 5
"""A server that is silent for so long is given up, and asked again on a new connection."""

BATCH = 500
"""The most scripts of one round trip."""

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.02, 1.0

FULL_SECONDS = 10
"""How long an append waits for memory. What frees memory is the end of streams, so waiting must end too."""

GREETING: Command = ("HELLO",)
"""Asks a server who it is. Not ``ROLE``, which a user may not be allowed."""

PASSING = (MasterDownError, TryAgainError)
PASSING_CODES = ("MISCONF", "NOREPLICAS", "BUSY", "UNKILLABLE")
"""The errors of a server that will take the same command later, or after a fail-over."""


@dataclass(slots=True)
class _Call:
    command: Command
    result: asyncio.Future[Any]
    began: float = field(default_factory=monotonic)


class Link:
    """Connections to one Redis, for one event loop. ``url`` as redis-py takes it."""

    def __init__(self, url: str) -> None:
        self._failed: str | None = None
        self._full_at: float = -FULL_SECONDS
        self._url = url
        self._pool = _new_pool(url)
        self._pending: list[_Call] = []
        self._writer: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def failing(self) -> str | None:
        """Why Redis did not serve the last time that it was asked, or is full; None where it does."""
        if self._failed is None and monotonic() - self._full_at < FULL_SECONDS:
            return "Redis is out of memory"
        return self._failed

    async def repeat(self, command: Command) -> Any:
        """The answer to a command that may be repeated, which it is until its outcome is known.

        Shares a round trip with others. Raises LogFull, and StoreClosed while stopping.
        """
        if self._stopping.is_set():
            raise StoreClosed
        call = _Call(command, asyncio.get_running_loop().create_future())
        self._pending.append(call)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        return await call.result

    async def ask(self, *commands: Command) -> list[Any]:
        """The answers to some commands now, in one round trip. Raises RedisError."""
        answers = await self._send(commands)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            answers = await self._send(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of one's own. Raises RedisError; ReadOnlyError within gives up all connections there are."""
        pool = self._pool
        with _closed_is_lost():
            connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it out
        try:
            yield connection
        except BaseException as error:
            # What was asked and not answered must not answer the next one.
            await connection.disconnect(nowait=True)
            if isinstance(error, ReadOnlyError):
                await self._give_up_connections(pool)
            raise
        finally:
            await pool.release(connection)

    async def stop(self) -> None:
        """Give up what is still to be written, and close the connections; a later read opens new ones."""
        self._stopping.set()
        if self._writer is not None:
            await self._writer
        await self._pool.disconnect()

    async def _give_up_connections(self, pool: BlockingConnectionPool) -> None:
        """Those that are in use are closed when they are released; ``should_reconnect`` tells it to who keeps one."""
        if pool is self._pool:
            self._pool = _new_pool(self._url)
            await pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]
            await pool.disconnect(inuse_connections=False)

    async def _write_all(self) -> None:
        retry = FIRST_RETRY_SECONDS
        while self._pending:
            batch = list(islice(self._pending, BATCH))
            del self._pending[: len(batch)]
            again = await self._write_batch(batch)
            if len(again) < len(batch):
                retry = FIRST_RETRY_SECONDS
            if not again:
                continue
            self._pending[:0] = again
            try:
                async with asyncio.timeout(retry):
                    await self._stopping.wait()
            except TimeoutError:
                retry = min(2 * retry, LAST_RETRY_SECONDS)
            else:
                self._give_up()

    async def _write_batch(self, batch: list[_Call]) -> list[_Call]:
        """Those whose outcome is not known yet, or that the server does not take now."""
        try:
            answers = await self._send([call.command for call in batch])
        except (RedisError, OSError):
            return batch
        except Exception as error:
            # Nobody is to wait for an answer that does not come.
            answers = [error] * len(batch)
        return [call for call, answer in zip(batch, answers, strict=True) if not self._settle(call, answer)]

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to some commands, errors of single ones among them. Raises RedisError where there are none."""
        try:
            try:
                answers = await self._send_once(commands)
            except ConnectionError:
                # It may have been closed long ago, and only shows now.
                answers = await self._send_once(commands)
        except (RedisError, OSError) as error:
            self._note(error)
            raise
        self._failed = None
        return answers

    async def _send_once(self, commands: Sequence[Command]) -> list[Any]:
        async with self.connection() as connection:
            answers = await send_to_primary(connection, commands)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                await send(connection, [("SCRIPT", "LOAD", script.text) for script in ALL])
            return answers

    def _settle(self, call: _Call, answer: Any) -> bool:
        """Give a call its answer; False where it is to be repeated."""
        if isinstance(answer, NoScriptError):
            return False
        if isinstance(answer, OutOfMemoryError):
            self._full_at = monotonic()
            if self._full_at - call.began < FULL_SECONDS:
                return False
            answer = LogFull()
        elif _passes(answer):
            self._note(answer)
            return False
        if not call.result.cancelled():
            if isinstance(answer, Exception):
                call.result.set_exception(answer)
            else:
                call.result.set_result(answer)
        return True

    def _give_up(self) -> None:
        while self._pending:
            call = self._pending.pop()
            if not call.result.cancelled():
                call.result.set_exception(StoreClosed())

    def _note(self, error: Exception) -> None:
        if self._failed is None:
            logger.warning("Redis out of reach, trying again", extra={"error": type(error).__name__})
        self._failed = f"Redis does not serve ({type(error).__name__})"


async def send_to_primary(connection: Connection, commands: Sequence[Command]) -> list[Any]:
    """As ``send``. Raises ReadOnlyError where the server is a replica."""
    *answers, greeting = await send(connection, [*commands, GREETING])
    if _is_replica(greeting) or any(isinstance(answer, ReadOnlyError) for answer in answers):
        raise ReadOnlyError("The server is a replica.")
    return answers


async def send(connection: Connection, commands: Sequence[Command]) -> list[Any]:
    """The answers to some commands, errors of single ones among them. Raises RedisError."""
    with _closed_is_lost():
        await connection.send_packed_command(connection.pack_commands(commands))
    answers: list[Any] = []
    # One limit for all: by default each answer has a timer of its own, which costs as much as reading it.
    async with asyncio.timeout(ANSWER_SECONDS):
        for _ in commands:
            try:
                answers.append(await connection.read_response(timeout=math.inf))
            except ResponseError as error:
                answers.append(error)
    return answers


@contextmanager
def _closed_is_lost() -> Iterator[None]:
    """uvloop tells of a connection that was reset meanwhile by a RuntimeError, which redis-py does not understand."""
    try:
        yield
    except RuntimeError as error:
        raise ConnectionError("The connection is closed.") from error


def _new_pool(url: str) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=ANSWER_SECONDS,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
    )


def _is_replica(greeting: Any) -> bool:
    """False also where the server does not tell: its errors will."""
    return isinstance(greeting, list) and b"replica" in greeting


def _passes(answer: Any) -> bool:
    return isinstance(answer, PASSING) or (isinstance(answer, ResponseError) and str(answer).startswith(PASSING_CODES))
