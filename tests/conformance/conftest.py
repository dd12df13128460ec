"""Every event log backend, each on every database, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import environ
import pytest
from django.conf import settings as django_settings
from django.db import connections
from redis import Redis

from streaming import claims, lease, sealing
from streaming.claims import Claim, Found, Owner
from streaming.endings import Ending
from streaming.eventlog.base import Append, EventLog, Outcome
from streaming.eventlog.database import DatabaseEventLog
from streaming.eventlog.kept import select_places
from streaming.eventlog.redis import RedisEventLog
from streaming.eventlog.redis_scripts import Log
from streaming.events import Event, EventType
from streaming.models import Process, StreamEvent, StreamHead
from streaming.params import Ask
from streaming.pricing import Prices
from streaming.store import Store
from tests.redis_server import RedisServer

Make = Callable[[Store], EventLog]

PRICES = Prices(input=150_000, output=600_000, cached_input=150_000, cache_write=150_000, source="tests")


@contextmanager
def connected_to(url: str) -> Iterator[None]:
    """Make a database the default one of this process."""
    before = connections.settings
    options = django_settings.SQLITE_OPTIONS if url.startswith("sqlite") else {}
    configured = {**environ.Env.db_url_config(url), "OPTIONS": options}
    connections["default"].close()
    del connections["default"]
    connections.settings = connections.configure_settings({"default": configured})
    try:
        yield
    finally:
        connections["default"].close()
        del connections["default"]
        connections.settings = before


Harm = Callable[[int, Sequence[int], int | None], None]


@dataclass
class Bench:
    """A log with what a test needs around it: processes, streams, a second instance as another process has."""

    make: Make
    harm: Harm
    store: Store = field(default_factory=Store)
    log: EventLog = field(init=False)
    process: Process = field(init=False)
    made: int = 0
    running: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> Bench:
        self.store.start()
        self.log = self.make(self.store)
        await self.running.enter_async_context(self.log.run())
        self.process = await self.store.write(lease.register, "web")
        return self

    async def stream(self, message: str = "hello") -> Found:
        """A new open stream of this process, attempt 1."""
        self.made += 1
        claim = Claim(
            owner=Owner("tests", f"u{self.made}"),
            stream_id=f"s{self.made}",
            ask=Ask(asked={"message": message}),
            model="demo",
            provider="demo",
            prices=PRICES,
            prompt_tokens=3,
            process=self.process.pk,
        )
        return await self.store.write(claims.claim_all, claim)

    async def append(self, stream: Found, *events: Event, attempt: int = 1, record: Any = None) -> Outcome:
        """Append to the log."""
        return await self.log.append(Append(stream.key, attempt, events, record))

    async def close(self, stream: Found, ending: Ending, *, attempt: int | None = None) -> Event | None:
        """The terminal event of a log that is closed, whoever closed it."""
        closed = await self.log.close(stream.key, ending, attempt=attempt)
        return None if closed is None else closed.event

    async def frames(self, stream: Found, after: int = -1) -> bytes:
        """All frames after an event, page by page."""
        taken = b""
        while page := await self.log.read(stream.key, after):
            taken += page.frames
            after = page.last_event_id
        return taken

    async def seal(self, stream: Found) -> bool:
        """Seal a closed log; answers whether this call did it."""
        return await self.store.write(sealing.seal_all, await self.store.read(sealing.pack_log, stream.key))

    async def other(self) -> Bench:
        """The same log as another process sees it."""
        return await Bench(self.make, self.harm).start()

    async def lose(self, stream: Found, *event_ids: int, end: int | None = None) -> None:
        """Take events of an open stream out of its log, and set back its end, behind the log's back."""
        await self.store.read(self.harm, stream.key, event_ids, end)

    async def stop(self) -> None:
        await self.running.aclose()
        await self.store.stop_writing()
        await self.store.close()


def harm_database(stream: int, event_ids: Sequence[int], end: int | None) -> None:
    """See ``Bench.lose``."""
    StreamEvent.objects.filter(stream=stream, event_id__in=event_ids).delete()
    if end is not None:
        StreamHead.objects.filter(pk=stream).update(next_event_id=end)


def harm_redis(url: str, stream: int, event_ids: Sequence[int], end: int | None) -> None:
    """See ``Bench.lose``."""
    [place] = select_places([stream])
    assert place is not None
    log = Log(f"magic:{place.token}")
    with Redis.from_url(url) as client:
        assert client.xdel(log.events, *(f"{event_id + 1}-0" for event_id in event_ids)) == len(event_ids)
        if end is not None:
            client.hset(log.head, "end", end)


Scenario = Callable[[Bench], Awaitable[None]]


@pytest.fixture(params=["database", "redis"])
def backend(request: pytest.FixtureRequest) -> tuple[Make, Harm]:
    """A backend: how it is made, and how its logs are harmed."""
    if request.param == "database":
        return lambda store: DatabaseEventLog(store, poll_seconds=0.05), harm_database
    redis: RedisServer = request.getfixturevalue("redis")
    return lambda store: RedisEventLog(store, url=redis.url, poll_seconds=0.1), partial(harm_redis, redis.url)


@pytest.fixture
def run(
    backend: tuple[Make, Harm], database_url: str, django_db_blocker: pytest.FixtureRequest
) -> Iterator[Callable[[Scenario], None]]:
    """Run a scenario with a bench of its own."""

    async def with_bench(scenario: Scenario) -> None:
        bench = await Bench(*backend).start()
        try:
            await scenario(bench)
        finally:
            await bench.stop()

    with django_db_blocker.unblock(), connected_to(database_url):  # type: ignore[attr-defined]
        yield lambda scenario: asyncio.run(with_bench(scenario))


def chunk(event_id: int, content: str = "x", tokens: int = 1) -> Event:
    """A ``message_chunk`` event."""
    data = f'{{"content":"{content}","tokens":{tokens},"cost_usd":6e-07}}'
    return Event(event_id, EventType.MESSAGE_CHUNK, data, elapsed_ms=event_id)


def done(event_id: int) -> Event:
    """A ``done`` event."""
    return Event(event_id, EventType.DONE, '{"finish_reason":"stop"}', elapsed_ms=event_id)
