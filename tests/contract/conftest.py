"""Server processes that the whole suite shares; at the end their logs are searched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from tests import databases
from tests.contract.wire import CANARY, CANARY_KEY, Client, client, fresh
from tests.servers import Server

COMMON = {"SECRET_KEY": f"{CANARY_KEY}-secret-key-of-the-tests", "DEMO_TOKENS_PER_SECOND": "0"}


@contextmanager
def running(
    folder: pytest.TempPathFactory, url: str, kind: str = "daphne", *, ready_path: str = "/ready", **env: str
) -> Iterator[Server]:
    """A server process; what it logs must hold neither prompts nor secrets nor tracebacks, and its metrics neither."""
    environment: dict[str, Any] = {**COMMON, **env}
    server = Server(url, folder.mktemp("server"), kind=kind, ready_path=ready_path, **environment)
    metrics = ""
    try:
        yield server.start()
        with suppress(httpx.TransportError):  # a test may have stopped it
            metrics = server.get("/metrics").text
    finally:
        server.kill()
    log = server.log_text()
    for told in (log, metrics):
        assert CANARY not in told
        assert CANARY_KEY not in told
        assert "mgk_" not in told
    assert "Traceback" not in log
    assert '"exception":' not in log


@pytest.fixture(scope="session")
def daphne(tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite) -> Iterator[Server]:
    """daphne on SQLite, with open access."""
    with running(tmp_path_factory, sqlite.new()) as server:
        yield server


@pytest.fixture(scope="session")
def uvicorn(tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite) -> Iterator[Server]:
    """uvicorn on SQLite, with open access."""
    with running(tmp_path_factory, sqlite.new(), "uvicorn") as server:
        yield server


@pytest.fixture(scope="session")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgresql: databases.PostgreSQL) -> Iterator[Server]:
    """uvicorn on PostgreSQL, with open access."""
    with running(tmp_path_factory, postgresql.new(), "uvicorn") as server:
        yield server


@pytest.fixture(scope="session")
def guarded_url(sqlite: databases.SQLite) -> str:
    """The database of ``guarded``."""
    return sqlite.new()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, guarded_url: str) -> Iterator[Server]:
    """daphne on SQLite, without open access: as it is shipped."""
    with running(tmp_path_factory, guarded_url, STREAM_OPEN_ACCESS="0") as server:
        yield server


@pytest.fixture(params=["daphne", "uvicorn"])
def either(request: pytest.FixtureRequest) -> Client:
    """Somebody who asks each kind of server."""
    return client(request.getfixturevalue(request.param))


@pytest.fixture
def anyone(daphne: Server) -> Client:
    """Somebody who asks a server with open access."""
    return client(daphne)


@pytest.fixture
def user() -> str:
    """A ``user_id`` that nobody has used."""
    return fresh("u")
