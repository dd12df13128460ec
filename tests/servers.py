"""Server processes of the tests: real daphne and uvicorn on real sockets."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of the loopback, which speak plain HTTP: to read the certificates takes thirty times a request."""

ON_REDIS = os.environ.get("MAGIC_TEST_REDIS") == "1"
"""Whether server processes have their event log in Redis, and not in the database, wherever a test names none."""

rows_of_open_streams = pytest.mark.skipif(ON_REDIS, reason="does harm to an open stream's rows, which are in Redis")
"""Marks a test of the log in the database; of that in Redis, tests/test_redis_log.py has the same."""

NO_LIMITS = {
    "STREAM_QUOTA_MESSAGES_PER_HOUR": "0",
    "STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS": "0",
    "STREAM_MAX_CONCURRENT_PER_USER": "0",
    "STREAM_MAX_CONNECTIONS_PER_USER": "0",
}
"""One user and one address do all that the tests ask for."""


def free_port(holder: object) -> int:
    """A port of the loopback that nobody listens on, and that nobody else is given as long as ``holder`` lives.

    A socket that is bound to it and does not listen keeps it: from other tests between this and the start of a server,
    and while a server is down that is to come back there.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    weakref.finalize(holder, keeper.close)
    return int(keeper.getsockname()[1])


SECRETS = ("sk-secret", "sk-tests", '"delay_ms"', '"stall_after"', "delay_ms\\", "stall_after\\")
"""What upstream bodies, keys and prompts of the tests have in them, and no log may."""


class Server:
    """One server process. ``start()`` returns when ``/ready`` answers 200; the port stays over a restart.

    ``enter``: what a command begins with that is to run where ``host`` is an address.
    """

    def __init__(
        self,
        database_url: str,
        folder: Path,
        *,
        kind: str = "daphne",
        application: str = "config.asgi:application",
        cwd: Path = ROOT,
        ready_path: str = "/ready",
        host: str = "127.0.0.1",
        enter: Sequence[str] = (),
        **env: str,
    ) -> None:
        self.kind = kind
        self.application = application
        self.host = host
        self.port = free_port(self)
        self.url = f"http://{host}:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        self._ready_url = self.url + ready_path
        self._cwd = cwd
        self._enter = enter
        self._env = {
            "SECRET_KEY": "tests",
            "STREAM_OPEN_ACCESS": "1",
            "DATABASE_URL": database_url,
            "PYTHONUNBUFFERED": "1",
            "STREAM_METRICS_DIR": str(folder / "metrics"),
            **NO_LIMITS,
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        """Start it and wait until it is ready."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("STREAM_", "OPENAI_", "DJANGO_"))}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._enter, *self._command()],
                cwd=self._cwd,
                env={**environment, **self._env},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def terminate(self, timeout: float = 40) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def threads(self) -> int:
        """How many threads the process has."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def log_text(self) -> str:
        """All that the process has printed."""
        return self.log.read_text(errors="replace")

    def refuse_leaks(self) -> None:
        """Raises AssertionError where it has printed a key, a prompt or an upstream's body."""
        printed = self.log_text()
        assert [secret for secret in SECRETS if secret in printed] == []

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        """GET, with query parameters."""
        return httpx.get(self.url + path, params=parameters, timeout=30, trust_env=False, verify=NO_CERTIFICATES)

    def post(self, path: str, json: Mapping[str, Any] | None = None, **headers: str) -> httpx.Response:
        """POST JSON; ask for JSON."""
        wanted = {"Accept": "application/json", **headers}
        return httpx.post(
            self.url + path, json=json, headers=wanted, timeout=30, trust_env=False, verify=NO_CERTIFICATES
        )

    def begin(self, stream_id: str, message: str, user_id: str = "u1", **asked: Any) -> dict[str, Any]:
        """Start a stream by POST; its first snapshot."""
        answer = self.post("/api/v1/stream", {"user_id": user_id, "stream_id": stream_id, "message": message, **asked})
        assert answer.status_code == 201, answer.text
        snapshot: dict[str, Any] = answer.json()
        return snapshot

    def snapshot(self, stream_id: str, user_id: str = "u1") -> dict[str, Any]:
        """A stream's snapshot."""
        answer = self.get(f"/api/v1/streams/{stream_id}", user_id=user_id)
        assert answer.status_code == 200, answer.text
        snapshot: dict[str, Any] = answer.json()
        return snapshot

    def _refuse_ended(self) -> None:
        """Raises AssertionError where the process is over already."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}:\n{self.log_text()[-4000:]}")

    def _command(self) -> list[str]:
        port = str(self.port)
        if self.kind == "daphne":
            return [sys.executable, "-m", "daphne", "-v", "0", "-b", self.host, "-p", port, self.application]
        return [
            *(sys.executable, "-m", "uvicorn", "--host", self.host, "--port", port),
            *("--no-access-log", "--log-level", "warning", self.application),
        ]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self._refuse_ended()
            try:
                if httpx.get(self._ready_url, timeout=2, trust_env=False, verify=NO_CERTIFICATES).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the server was not ready after {START_SECONDS} s:\n{self.log_text()[-4000:]}")


class StreamWorker(Server):
    """One ``manage.py streamworker``. ``start()`` returns when it takes starts."""

    def __init__(self, database_url: str, folder: Path, *, arguments: tuple[str, ...] = (), **env: str) -> None:
        super().__init__(database_url, folder, **env)  # type: ignore[arg-type]
        self._arguments = arguments
        self._started = 0

    def _command(self) -> list[str]:
        return [sys.executable, "manage.py", "streamworker", *self._arguments]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.log_text().count('"process_started"') == self._started:
            self._refuse_ended()
            assert time.monotonic() < deadline, self.log_text()[-4000:]
            time.sleep(0.05)
        self._started += 1
