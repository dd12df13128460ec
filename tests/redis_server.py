"""Redis servers of the tests: their own, on a free port, in a folder of their own."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.databases import skip
from tests.servers import free_port

BINARY = shutil.which("redis-server") or shutil.which("valkey-server")
NO_REDIS = "neither redis-server nor valkey-server is installed (Debian: apt-get install redis-server)"
START_SECONDS = 20


class RedisServer:
    """One server, with its append-only file synced at every write. ``start()`` returns when it answers.

    ``host`` and ``enter``: as ``Server`` takes them.
    """

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", enter: Sequence[str] = (), **options: str) -> None:
        if BINARY is None:
            skip(NO_REDIS)
        self._folder = folder
        self._enter = enter
        self._host = host
        self._options = {"appendonly": "yes", "appendfsync": "always", "save": "", **options}
        self.port = free_port(self)
        self.url = f"redis://{host}:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> RedisServer:
        """Start it, with what its files hold."""
        assert BINARY is not None
        places = {"port": str(self.port), "bind": self._host, "dir": str(self._folder)}
        options = [part for name, value in {**places, **self._options}.items() for part in (f"--{name}", value)]
        with (self._folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([*self._enter, BINARY, *options], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return self
            except RedisError as error:
                assert self.process.poll() is None and time.monotonic() < deadline, error
                time.sleep(0.02)

    def client(self) -> Redis:
        """A client for the test itself; close it."""
        return Redis.from_url(self.url, decode_responses=True)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
