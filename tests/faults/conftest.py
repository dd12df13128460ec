"""Fixtures of the fault tests: servers without quotas, a scripted upstream, readers in the background."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.faults.fleet import Fleet
from tests.faults.wire import Crowd
from tests.redis_server import RedisServer
from tests.servers import Server
from tests.upstream import Upstream

Serve = Callable[..., Server]
ServeTwo = Callable[..., list[Server]]
NewDatabase = Callable[[str], str]

NO_LIMITS: dict[str, Any] = {
    "DEMO_TOKENS_PER_SECOND": "2000",
    "STREAM_QUOTA_MESSAGES_PER_HOUR": "1000000",
    "STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS": "1000000",
    "STREAM_MAX_CONCURRENT_PER_USER": "1000000",
    "STREAM_MAX_CONNECTIONS_PER_USER": "1000000",
    # What looks at the rows of the logs finds them also where a test takes long.
    "STREAM_SEAL_SECONDS": "3600",
}
PAIRS = (("daphne", "sqlite"), ("uvicorn", "postgresql"))
"""Each server and each database once: enough where the one does not depend on the other."""
HEARTBEAT_SECONDS = 0.2
"""Of the server that is shared."""
MODEL = "gpt-4o-mini"
"""A model that the upstream serves and that has a price."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A scripted provider; ``serve`` points the servers of the test at it."""
    with Upstream() as started:
        yield started


@pytest.fixture
def serve(serve: Serve, upstream: Upstream) -> Serve:
    """As ``tests.conftest.serve``, with no quotas and with the scripted upstream as OpenAI."""
    provider = {"OPENAI_API_KEY": "sk-tests", "OPENAI_BASE_URL": upstream.url, "STREAM_DEFAULT_MODEL": "demo"}

    def start(database_url: str, **options: str) -> Server:
        return serve(database_url, **{**NO_LIMITS, **provider, **options})

    return start


@pytest.fixture(scope="module")
def shared(sqlite: databases.SQLite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with the demo provider, for the tests of a module that do it no harm."""
    options: dict[str, Any] = {**NO_LIMITS, "STREAM_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS)}
    server = Server(sqlite.new(), tmp_path_factory.mktemp("shared"), **options)
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def stream_id(request: pytest.FixtureRequest) -> str:
    """A stream's name of the test's own."""
    return re.sub("[^a-z0-9]+", "-", request.node.name.lower())[-100:]


@pytest.fixture
def new_database(request: pytest.FixtureRequest) -> Iterator[NewDatabase]:
    """Make a database of a kind: ``new_database("sqlite")``."""
    with ExitStack() as made:

        def make(kind: str) -> str:
            maker: databases.SQLite | databases.PostgreSQL = request.getfixturevalue(kind)
            url = maker.new()
            made.callback(maker.discard, url)
            return url

        yield make


@pytest.fixture
def serve_two(serve: Serve) -> ServeTwo:
    """Start two processes on one database, at the same time."""

    def start(database_url: str, *kinds: str, **options: str) -> list[Server]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda kind: serve(database_url, kind=kind, **options), kinds or ("daphne",) * 2))

    return start


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    """Readers in the background."""
    with Crowd() as started:
        yield started


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be harmed."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def new_fleet(
    own_redis: RedisServer, new_database: NewDatabase, upstream: Upstream, tmp_path: Path
) -> Iterator[Callable[[str], Fleet]]:
    """Make a fleet on a database of a kind."""
    env = {
        **NO_LIMITS,
        "OPENAI_API_KEY": "sk-tests",
        "OPENAI_BASE_URL": upstream.url,
        "STREAM_DEFAULT_MODEL": "demo",
        "STREAM_PRODUCERS": "workers",
        "STREAM_LEASE_SECONDS": "3",
        "STREAM_HEARTBEAT_SECONDS": "1",
        "REDIS_URL": own_redis.url,
    }
    with ExitStack() as ended:
        yield lambda kind: Fleet(new_database(kind), tmp_path, own_redis, ended, env)
