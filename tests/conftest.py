"""Fixtures: databases and server processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import databases
from tests.redis_server import RedisServer
from tests.servers import ON_REDIS, Server, StreamWorker

# Tests of pure or synchronous code that meet Django's connection would find the wrong database: none is shared.
os.environ.setdefault("SECRET_KEY", "tests")


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> databases.SQLite:
    """Makes SQLite databases."""
    return databases.SQLite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[databases.PostgreSQL]:
    """Makes PostgreSQL databases."""
    yield from databases.postgresql()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the tests that do it no harm."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(scope="session", autouse=True)
def redis_log(request: pytest.FixtureRequest) -> None:
    """With MAGIC_TEST_REDIS=1 every server process of the tests has its event log in Redis."""
    if ON_REDIS:
        os.environ["REDIS_URL"] = request.getfixturevalue("redis").url


@pytest.fixture
def sqlite_url(sqlite: databases.SQLite) -> str:
    """A new SQLite database."""
    return sqlite.new()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A new database of each kind."""
    maker: databases.SQLite | databases.PostgreSQL = request.getfixturevalue(request.param)
    url = maker.new()
    yield url
    maker.discard(url)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start server processes: ``serve(database_url, kind="uvicorn", STREAM_LEASE_SECONDS="3")``; or kind ``worker``."""
    servers: list[Server] = []

    def start(database_url: str, **options: str) -> Server:
        made = StreamWorker if options.get("kind") == "worker" else Server
        server = made(database_url, tmp_path, **options)  # type: ignore[arg-type]
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.kill()
    for server in servers:
        server.refuse_leaks()
