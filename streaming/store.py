"""The process's way to SQL: one thread that writes, in group commits, and a few that read.

An open stream holds neither a thread nor a database connection: everything goes through these.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, ParamSpec, TypeVar

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    Error,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from streaming import metrics
from streaming.notices import Notices

logger = logging.getLogger("streaming.store")

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

READERS = 4
LONG_READERS = 2
BATCH = 1000
"""The most jobs of one transaction."""
REST_SECONDS = 0.002
"""Between batches while other processes write to the same SQLite file; without it they starve."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.02, 1.0
STUCK_SECONDS = 3
"""PostgreSQL ends a transaction that waits so long for its process: one that is paused would keep its locks."""


class StoreClosed(Exception):
    """The process is stopping; what was queued was not written."""


@dataclass(slots=True)
class _Job:
    work: Callable[[list[Any]], Sequence[Any]]
    item: Any
    result: asyncio.Future[Any]


class Store:
    """Runs SQL for one event loop. ``start()`` and ``stop()`` are idempotent."""

    def __init__(self) -> None:
        self.others_write = False
        """Whether other live processes write to this database; set by who renews the lease."""
        self.notices = Notices(self.read)
        """What other processes tell of this database; run by the engine."""
        self._connections: list[BaseDatabaseWrapper] = []
        self._readers = ThreadPoolExecutor(READERS, "sql-reader", self._keep_connection)
        self._long_readers = ThreadPoolExecutor(LONG_READERS, "sql-long-reader", self._keep_connection)
        self._writer = ThreadPoolExecutor(1, "sql-writer", self._keep_connection)
        self._pending: list[_Job] = []
        self._queued = asyncio.Event()
        self._stopping = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._commit_batches())

    @property
    def takes_writes(self) -> bool:
        """Whether ``write`` is open: from ``start`` until ``stop_writing``."""
        return self._task is not None and not self._stopping.is_set()

    async def stop_writing(self) -> None:
        """Write what is queued; from then on ``write`` raises StoreClosed. Idempotent."""
        self._stopping.set()
        self._queued.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def close(self) -> None:
        """Let go of the threads, once what they do is done, and of their connections. Idempotent."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for executor in (self._writer, self._readers, self._long_readers):
            executor.shutdown()
        while self._connections:
            self._connections.pop().close()

    def _keep_connection(self) -> None:
        """In a new thread: keep its connection at hand, so that ``close`` can close it."""
        own = connections[DEFAULT_DB_ALIAS]
        own.inc_thread_sharing()
        self._connections.append(own)

    async def read(self, query: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a short query in a reader thread. Errors of the database are the caller's; but where the thread's
        connection turns out to be lost, as after a restart of PostgreSQL, it is run again on a new one."""
        return await self._run(self._readers, partial(query, *args, **kwargs))

    async def read_long(self, query: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """As ``read``, for what may be as long as an answer or a history: it holds up nothing but its like."""
        return await self._run(self._long_readers, partial(query, *args, **kwargs))

    async def _run(self, executor: ThreadPoolExecutor, query: Callable[[], R]) -> R:
        def run() -> R:
            was_open = connection.connection is not None
            try:
                return query()
            except Error:
                if not was_open or connection.is_usable():
                    raise
                connection.close()
                return query()
            finally:
                _drop_broken_connection()

        return await asyncio.get_running_loop().run_in_executor(executor, run)

    async def write(self, work: Callable[[list[T]], Sequence[R | Exception]], item: T) -> R:
        """Have ``work`` applied to ``item`` in the next transaction; answers once it is committed.

        ``work`` takes the items of one batch and returns a result for each. It must be idempotent: where
        the outcome of a commit is unknown or the database is out of reach, it is repeated until it is
        known. An item that makes ``work`` raise does so alone; an exception among the results is raised to
        the caller whose it is, and the others are committed. Raises StoreClosed while stopping.
        """
        if not self.takes_writes:
            raise StoreClosed
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._pending.append(_Job(work, item, result))
        self._queued.set()
        return await result

    async def _commit_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending or not self._stopping.is_set():
            await self._queued.wait()
            if not self._stopping.is_set():
                self._queued.clear()
            while self._pending:
                batch = list(islice(self._pending, BATCH))
                del self._pending[: len(batch)]
                began = loop.time()
                outcomes = await loop.run_in_executor(self._writer, self._commit, batch)
                metrics.COMMIT_LATENCY.observe(loop.time() - began)
                metrics.COMMIT_BATCH.observe(len(batch))
                _answer(batch, outcomes)
                if self.others_write and connection.vendor == "sqlite":
                    await asyncio.sleep(REST_SECONDS)

    def _commit(self, batch: list[_Job]) -> list[Any]:
        """One transaction, repeated until its outcome is known. In the writer's thread."""
        retry = FIRST_RETRY_SECONDS
        while True:
            try:
                return _transaction(batch)
            except Exception as error:
                if not _out_of_reach(error):
                    if len(batch) == 1:
                        return [error]
                    return [outcome for job in batch for outcome in self._commit([job])]
                logger.warning("database out of reach, trying again", extra={"error": type(error).__name__})
                connection.close()
                if self._stopping.wait(retry):
                    return [StoreClosed()] * len(batch)
                retry = min(2 * retry, LAST_RETRY_SECONDS)
            finally:
                _drop_broken_connection()


def _transaction(batch: Iterable[_Job]) -> list[Any]:
    by_work: dict[Callable[[list[Any]], Sequence[Any]], list[_Job]] = {}
    for job in batch:
        by_work.setdefault(job.work, []).append(job)
    outcomes: dict[int, Any] = {}
    _limit_transactions()
    with transaction.atomic():
        for work, jobs in by_work.items():
            results = work([job.item for job in jobs])
            outcomes.update((id(job), result) for job, result in zip(jobs, results, strict=True))
    return [outcomes[id(job)] for job in batch]


def _out_of_reach(error: Exception) -> bool:
    """Whether the database cannot be reached; one that ends a connection may say so with an error of any class."""
    if isinstance(error, (OperationalError, InterfaceError)):
        return True
    return isinstance(error, DatabaseError) and not connection.is_usable()


def _limit_transactions() -> None:
    if connection.vendor == "postgresql" and connection.connection is None:
        with connection.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = %s", [STUCK_SECONDS * 1000])


def _answer(batch: list[_Job], outcomes: list[Any]) -> None:
    for job, outcome in zip(batch, outcomes, strict=True):
        if job.result.cancelled():
            continue
        if isinstance(outcome, Exception):
            job.result.set_exception(outcome)
        else:
            job.result.set_result(outcome)


def _drop_broken_connection() -> None:
    if connection.errors_occurred:
        connection.close()
