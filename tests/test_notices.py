"""What a notice says, and what is made of one that says it oddly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from django.db import connection

from streaming.notices import CHANNEL, GROWN, send
from streaming.store import Store
from tests.conformance.conftest import connected_to
from tests.databases import PostgreSQL

Scenario = Callable[[Store], Awaitable[None]]


@pytest.fixture
def run(postgresql: PostgreSQL, django_db_blocker: pytest.FixtureRequest) -> Iterator[Callable[[Scenario], None]]:
    """Run a scenario with a store that hears."""
    url = postgresql.new()

    async def hearing(scenario: Scenario) -> None:
        store = Store()
        task = asyncio.create_task(store.notices.run())
        try:
            assert await store.notices.grown.take() == set(), "whatever was told before it listened"
            async with asyncio.timeout(20):
                await scenario(store)
        finally:
            task.cancel()
            await asyncio.wait((task,))
            await store.close()

    with django_db_blocker.unblock(), connected_to(url):  # type: ignore[attr-defined]
        yield lambda scenario: asyncio.run(hearing(scenario))
    postgresql.discard(url)


def tell(payload: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])


def test_streams_are_named_and_too_many_are_any(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        await store.read(send, GROWN, {3, 1, 2})
        assert await store.notices.grown.take() == {1, 2, 3}
        await store.read(send, GROWN, range(1_000_000, 1_001_000))
        assert await store.notices.grown.take() == set()

    run(scenario)


def test_what_grows_is_told_to_all(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        for stream in (1, 2, 3):
            store.notices.tell_grown(stream)
        assert await store.notices.grown.take() == {1, 2, 3}

    run(scenario)


def test_what_nobody_here_understands_harms_nobody(run: Callable[[Scenario], None]) -> None:
    async def scenario(store: Store) -> None:
        for payload in ("", "later 1", "grown x,5,-1,²", "grown 7"):
            await store.read(tell, payload)
        heard: set[int] = set()
        while 7 not in heard:
            heard |= await store.notices.grown.take()
        assert heard == {5, 7}

    run(scenario)
