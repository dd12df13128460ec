"""Redis servers of the tests: their own, on a free port, in a folder of their own.

``TEST_REDIS_SERVER=/path/to/valkey-server`` names the program; else it is whichever is installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.databases import skip
from tests.servers import free_port

BINARY = os.environ.get("TEST_REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
NO_REDIS = (
    "neither redis-server nor valkey-server is installed (Debian: apt-get install redis-server), "
    "and TEST_REDIS_SERVER names none"
)
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
        self._options = {"appendonly": "yes", "appendfsync": "always", "save": "", "repl-diskless-sync-delay": "0"}
        self._options |= options
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

    def follow(self, port: int) -> None:
        """Become the replica of the server at a port of the loopback."""
        with self.client() as client:
            client.replicaof("127.0.0.1", port)

    def promote(self) -> None:
        """Become a primary, with what it has."""
        with self.client() as client:
            client.replicaof("NO", "ONE")

    def wait_for(self, primary: RedisServer) -> None:
        """Until this replica has all that its primary has, which nobody may write to meanwhile."""
        deadline = time.monotonic() + START_SECONDS
        with self.client() as here, primary.client() as there:
            while not _is_level(here.info("replication"), there.info("replication")):
                assert time.monotonic() < deadline, here.info("replication")
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


def _is_level(replica: dict[str, Any], primary: dict[str, Any]) -> bool:
    has = replica.get("master_repl_offset")
    return replica.get("master_link_status") == "up" and has == primary["master_repl_offset"]
