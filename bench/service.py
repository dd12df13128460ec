"""The service under measurement, as it is shipped: SQLite with ``synchronous=FULL``, on uvicorn or daphne."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.environment import ROOT
from bench.load import get
from bench.processes import Process, environment, free_port
from bench.upstream import KEY, Upstream

USER = "bench"
WAIT_SECONDS = 60

# What has no limit in the measurements: one user, one process and one connection do the work of many.
NO_LIMITS = {
    "STREAM_QUOTA_MESSAGES_PER_HOUR": "0",
    "STREAM_MAX_CONCURRENT_PER_USER": "0",
    "STREAM_MAX_CONNECTIONS_PER_USER": "0",
    "STREAM_MAX_STREAMS": "10000",
    "STREAM_MAX_BYTES": str(2**30),
}
SEALED_AT_ONCE = {"STREAM_SEAL_SECONDS": "0"}
UNBOUNDED_CONNECTIONS = {"STREAM_CONNECTION_BYTES": str(2**40), "STREAM_CONNECTION_SECONDS": "3600"}


class Service(Process):
    """One server process with a database of its own, or with one that there is already."""

    def __init__(
        self,
        folder: Path,
        core: int,
        *,
        server: str = "uvicorn",
        upstream: Upstream | None = None,
        settings: str = "config.settings",
        database: Path | None = None,
        **env: str,
    ) -> None:
        self.database = database or make_database(folder)
        self.env = settings_of(self.database, upstream, DJANGO_SETTINGS_MODULE=settings, **env)
        port = free_port()
        super().__init__(
            serve(sys.executable, server, port, "config.asgi:application"),
            core=core,
            port=port,
            log=folder / f"service-{port}.log",
            env=self.env,
            cwd=ROOT,
        )
        self._until(lambda: self.call("GET", "/ready") is not None)

    def begin(self, message: str, *, model: str = "demo") -> str:
        """Start a stream; its id."""
        stream_id = f"s{uuid4().hex}"
        self.call(
            "POST", "/api/v1/stream", {"user_id": USER, "stream_id": stream_id, "message": message, "model": model}
        )
        return stream_id

    def start_request(self, message: str, *, model: str = "demo") -> bytes:
        """The request that starts a stream of its own, and reads it."""
        parameters = {"user_id": USER, "stream_id": f"s{uuid4().hex}", "message": message, "model": model}
        return get("/api/v1/stream", parameters)

    def read_request(self, stream_id: str, after: int = -1) -> bytes:
        """The request that reads a stream."""
        return get("/api/v1/stream", {"user_id": USER, "stream_id": stream_id, "last_event_id": after})

    def cancel(self, stream_id: str) -> None:
        """End a stream."""
        self.call("DELETE", f"/api/v1/stream/{stream_id}?user_id={USER}")

    def snapshot(self, stream_id: str) -> dict[str, Any]:
        """A stream's snapshot."""
        found = self.call("GET", f"/api/v1/streams/{stream_id}?user_id={USER}")
        assert found is not None
        return found

    def wait_for_event(self, stream_id: str, event_id: int) -> None:
        """Until the log has this event."""
        self._until(lambda: self.snapshot(stream_id)["last_event_id"] >= event_id)

    def wait_until_closed(self, stream_id: str) -> None:
        """Until the stream is over."""
        self._until(lambda: self.snapshot(stream_id)["status"] not in {"queued", "streaming"})

    def wait_until_sealed(self) -> None:
        """Until no closed stream has rows of events."""
        self._until(lambda: not self.query(UNSEALED))

    def query(self, statement: str) -> int:
        """A number from the database."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return int(connection.execute(statement).fetchone()[0])

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Call the API; None where nothing listens. Raises HTTPError where it refuses."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
            told: dict[str, Any] = json.loads(answer.read() or b"{}")
            return told

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                raise RuntimeError(f"nothing came of it in {WAIT_SECONDS} s:\n{self.log_text()}")
            time.sleep(0.02)


def settings_of(database: Path, upstream: Upstream | None = None, **env: str) -> dict[str, str]:
    """The environment of the service's processes."""
    shipped = {
        "SECRET_KEY": "bench",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "DATABASE_URL": f"sqlite:///{database}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "WARNING",
        "STREAM_OPEN_ACCESS": "1",
        "OPENAI_API_KEY": KEY if upstream else "",
        "OPENAI_BASE_URL": upstream.base_url if upstream else "",
        "ANTHROPIC_API_KEY": "",
        "STREAM_OPENAI_COMPATIBLE": "",
    }
    return environment(**{**shipped, **NO_LIMITS, **env})


def make_database(folder: Path) -> Path:
    """A new database, migrated once for all."""
    database, template = folder / f"service-{uuid4().hex}.sqlite3", folder.parent / "template.sqlite3"
    if not template.exists():
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=settings_of(template), check=True)
        with closing(sqlite3.connect(template)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(template, database)
    return database


class Worker(Process):
    """A process that produces what the web processes of the same settings start. It listens nowhere."""

    def __init__(self, service: Service, folder: Path, core: int, concurrency: int) -> None:
        command = [sys.executable, "manage.py", "streamworker", "--concurrency", str(concurrency)]
        log = folder / f"worker-{uuid4().hex}.log"
        super().__init__(command, core=core, port=0, log=log, env=service.env, cwd=ROOT)

    def _answers(self) -> bool:
        return True


UNSEALED = (
    "SELECT count(*) FROM streaming_streamevent JOIN streaming_streamhead USING (stream_id)"
    " WHERE streaming_streamhead.closed"
)


def serve(python: str | Path, server: str, port: int, application: str) -> list[str]:
    """The command that serves an ASGI application, on one process."""
    if server == "daphne":
        return [str(python), "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port), application]
    return [
        *(str(python), "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port), "--backlog", "8192"),
        *("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "1", application),
    ]
