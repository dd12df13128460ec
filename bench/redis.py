"""The Redis between processes: its own server, whose append-only file is synced before a write is answered."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from redis import Redis as Client

from bench.environment import ROOT
from bench.processes import Process, environment, free_port

DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": "", "auto-aof-rewrite-percentage": "0"}
"""No rewrite of the file falls into one contender's turn and not into another's."""


class Redis(Process):
    """One server, its files in a folder of their own, on the disk of the checkout."""

    def __init__(self, command: str, folder: Path, core: int) -> None:
        files = folder / f"redis-{uuid4().hex}"
        files.mkdir()
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        places = {"port": str(port), "bind": "127.0.0.1", "dir": str(files), "loglevel": "warning"}
        options = [word for name, value in {**places, **DURABLE}.items() for word in (f"--{name}", value)]
        super().__init__([command, *options], core=core, port=port, log=files / "log", env=environment(), cwd=ROOT)

    def info(self, name: str) -> int:
        """A number from INFO."""
        with Client.from_url(self.url) as client:
            return int(client.info("everything")[name])

    def empty(self) -> None:
        """Forget everything, and begin with an empty memory."""
        with Client.from_url(self.url) as client:
            client.flushall()
