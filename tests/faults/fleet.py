"""Web processes and workers of one installation."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.faults.records import Records
from tests.redis_server import RedisServer
from tests.servers import Server, StreamWorker

P = TypeVar("P", bound=Server)


@dataclass
class Fleet:
    """Web processes and workers of one database and one Redis. What it starts, it ends."""

    url: str
    folder: Path
    redis: RedisServer
    ended: ExitStack
    env: dict[str, str]

    @property
    def records(self) -> Records:
        return Records(self.url)

    def web(self, kind: str = "daphne", **env: str) -> Server:
        """A web process that produces nothing."""
        return self._started(Server(self.url, self.folder, kind=kind, **{**self.env, **env}))  # type: ignore[arg-type]

    def worker(self, *arguments: str, **env: str) -> StreamWorker:
        """A worker."""
        return self._started(StreamWorker(self.url, self.folder, arguments=arguments, **{**self.env, **env}))

    def _started(self, process: P) -> P:
        self.ended.callback(process.refuse_leaks)
        self.ended.callback(process.kill)
        process.start()
        return process
