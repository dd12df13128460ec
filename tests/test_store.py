"""The process's way to SQL, on a PostgreSQL that ends its connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import psycopg
import pytest
from django.db import OperationalError, connection

from streaming.store import LONG_READERS, READERS, Store
from tests.conformance.conftest import connected_to
from tests.databases import PostgreSQL


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL, django_db_blocker: pytest.FixtureRequest) -> Iterator[str]:
    """A new PostgreSQL database, which the test's own connections are to."""
    url = postgresql.new()
    with django_db_blocker.unblock(), connected_to(url):  # type: ignore[attr-defined]
        yield url
    postgresql.discard(url)


def backend() -> int:
    """The number of the server's process at the other end of this thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [number] = cursor.fetchone()
        return int(number)


async def occupy(store: Store, threads: int, *, long: bool) -> set[int]:
    """Have all threads that read one connection each; their backends."""
    together = threading.Barrier(threads)

    def query() -> int:
        together.wait(10)
        return backend()

    read = store.read_long if long else store.read
    return set(await asyncio.gather(*(read(query) for _ in range(threads))))


@pytest.mark.parametrize(("threads", "long"), [(READERS, False), (LONG_READERS, True)])
def test_a_read_on_a_connection_that_was_lost_is_made_on_a_new_one(
    postgresql_url: str, threads: int, long: bool
) -> None:
    async def scenario() -> None:
        store = Store()
        lost = await occupy(store, threads, long=long)
        assert len(lost) == threads
        with psycopg.connect(postgresql_url, autocommit=True) as session:
            for number in lost:
                session.execute("SELECT pg_terminate_backend(%s, 10000)", [number])
        assert not lost & await occupy(store, threads, long=long)
        await store.close()

    asyncio.run(scenario())


def test_what_ends_its_own_connection_is_not_run_for_ever(postgresql_url: str) -> None:
    runs = []

    def query() -> None:
        runs.append(backend())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async def scenario() -> None:
        store = Store()
        await store.read(backend)
        with pytest.raises(OperationalError):
            await store.read(query)
        await store.close()

    asyncio.run(scenario())
    assert len(runs) <= 2
