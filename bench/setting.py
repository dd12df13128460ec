"""What every row is given: the cores, the load, the peers, and servers that end with the row."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from bench.environment import HERE, ROOT, Missing, Peers
from bench.load import Load
from bench.machine import Cores
from bench.processes import Process, environment, free_port
from bench.redis import Redis
from bench.service import Service, Worker, serve
from bench.upstream import Upstream

P = TypeVar("P", bound=Process)


@dataclass
class Setting:
    """``quick``: a look at whether it works, with little work; its figures mean nothing."""

    cores: Cores
    load: Load
    peers: Peers
    folder: Path
    rounds: int
    quick: bool
    running: ExitStack

    def service(self, **options: Any) -> Service:
        """The service, on the measured core."""
        return self.kept(Service(self.folder, self.cores.server, **options))

    def upstream(self) -> Upstream:
        """A model API, on the load's core."""
        return self.kept(Upstream(self.cores.load, self.folder))

    def peer(self, application: str, server: str = "uvicorn", **env: str) -> Process | Missing:
        """An ASGI application of ``bench.apps``, in the peers' environment."""
        if isinstance(self.peers.python, Missing):
            return self.peers.python
        port = free_port()
        database = str(self.folder / f"peer-{uuid4().hex}.sqlite3")
        return self.start(
            serve(self.peers.python, server, port, f"bench.apps.{application}"), port, BENCH_DATABASE=database, **env
        )

    def own(self, application: str, **env: str) -> Process:
        """An ASGI application of ``bench.apps`` in the project's own environment: the same Python, the same clients."""
        port = free_port()
        return self.start(serve(sys.executable, "uvicorn", port, f"bench.apps.{application}"), port, **env)

    def node(self, script: str, **env: str) -> Process | Missing:
        """A server of ``bench.apps`` on Node, with the peers' packages."""
        if isinstance(self.peers.node, Missing):
            return self.peers.node
        port = free_port()
        modules = str(self.peers.node / "node_modules")
        return self.start(["node", str(HERE / "apps" / script)], port, NODE_PATH=modules, PORT=str(port), **env)

    def redis(self, core: int | None = None) -> Redis | Missing:
        """A Redis, on the measured core where no other is named."""
        if isinstance(self.peers.redis, Missing):
            return self.peers.redis
        return self.kept(Redis(self.peers.redis, self.folder, self.cores.server if core is None else core))

    def worker(self, service: Service, concurrency: int = 1000) -> Worker:
        """A process that produces what ``service`` starts, on the measured core."""
        return self.kept(Worker(service, self.folder, self.cores.server, concurrency))

    def start(self, command: list[str], port: int, **env: str) -> Process:
        """Any server on the measured core."""
        log = self.folder / f"server-{port}.log"
        own = environment(**env)
        return self.kept(Process(command, core=self.cores.server, port=port, log=log, env=own, cwd=ROOT))

    def run(self, script: str, *arguments: str, given: str) -> str | Missing:
        """Run a script of ``bench.apps`` in the peers' environment, on the measured core; what it prints."""
        if isinstance(self.peers.python, Missing):
            return self.peers.python
        python, path = str(self.peers.python), str(HERE / "apps" / script)
        command = ["taskset", "-c", str(self.cores.server), python, path, *arguments]
        done = subprocess.run(command, check=True, input=given, stdout=subprocess.PIPE, text=True, env=environment())
        return done.stdout

    def run_own(self, script: str, *arguments: str, env: Mapping[str, str]) -> str:
        """Run a script of ``bench.apps`` in the project's own environment, on the measured core; what it prints."""
        command = ["taskset", "-c", str(self.cores.server), sys.executable, str(HERE / "apps" / script), *arguments]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env={**env, "PYTHONPATH": str(ROOT)}
        )
        return done.stdout

    def kept(self, process: P) -> P:
        """A process that ends with the row."""
        self.running.callback(process.stop)
        return process
