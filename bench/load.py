"""The load: runs ``native/load`` on the load's core, and reads what it tells."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlencode

from bench.environment import program
from bench.processes import Process


@dataclass(frozen=True)
class Times:
    """A distribution, in milliseconds."""

    count: int
    p50: float
    p99: float
    max: float


@dataclass(frozen=True)
class Seen:
    """What the load saw. ``events`` and processor times are of ``seconds``; ``slowest`` is one reader's events."""

    answered: int
    finished: int
    failed: int
    unfinished: int
    events: int
    bytes: int
    seconds: float
    opening_s: float
    cpu_s: float
    server_cpu_s: float
    slowest: int
    age: Times | None
    first: Times | None
    end: Times | None

    @property
    def rate(self) -> float:
        """Events a second, over all readers."""
        return self.events / self.seconds

    def complete(self) -> Seen:
        """Itself. Raises RuntimeError where a connection failed or did not end."""
        if self.failed or self.unfinished:
            raise RuntimeError(f"{self.failed} connections failed and {self.unfinished} did not end")
        return self


def get(path: str, parameters: Mapping[str, object] | None = None) -> bytes:
    """A GET."""
    return _request("GET", f"{path}?{urlencode(parameters)}" if parameters else path, {})


def post(path: str, body: Mapping[str, Any]) -> bytes:
    """A POST of JSON."""
    content = json.dumps(body)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    return _request("POST", path, headers) + content.encode()


def _request(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Accept: text/event-stream"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


class Load:
    """Loads servers from one core."""

    def __init__(self, core: int, folder: Path) -> None:
        self._core = core
        self._folder = folder

    def window(
        self,
        server: Process,
        requests: Sequence[bytes],
        *,
        seconds: float,
        skip: float = 0,
        stamped: bool = False,
        ready: Callable[[], object] = lambda: None,
        timeout: float = 60,
        also: Sequence[Process] = (),
    ) -> Seen:
        """Open a connection for each request, call ``ready``, and count what comes in ``seconds``.

        ``also``: other servers that take their turns with ``server``; processor time is that of ``server`` alone.

        The clock starts ``skip`` seconds after the first event after ``ready``.
        """
        options = ["--connections", len(requests), "--seconds", seconds, "--skip", skip, "--timeout", timeout]
        return self._run([server, *also], requests, [*options, *(["--stamps"] if stamped else [])], ready)

    def requests(
        self,
        server: Process,
        requests: Sequence[bytes],
        *,
        at_once: int,
        total: int | None = None,
        events: int = 0,
        stamped: bool = False,
        timeout: float = 120,
        also: Sequence[Process] = (),
    ) -> Seen:
        """Send ``total`` requests (each once, by default), ``at_once``; each is read up to an event, or its end.

        ``also``: as for ``window``.
        """
        options = ["--connections", at_once, "--total", total or len(requests), "--events", events]
        options += ["--timeout", timeout, *(["--stamps"] if stamped else [])]
        return self._run([server, *also], requests, options, lambda: None)

    def _run(
        self,
        servers: Sequence[Process],
        requests: Iterable[bytes],
        options: Sequence[object],
        ready: Callable[[], object],
    ) -> Seen:
        with NamedTemporaryFile(dir=self._folder) as file:
            file.write(b"\0".join(requests) + b"\0")
            file.flush()
            ports = ",".join(str(server.port) for server in servers)
            command = [program("load"), "--port", ports, "--pid", servers[0].pid, "--requests", file.name, *options]
            with subprocess.Popen(
                ["taskset", "-c", str(self._core), *map(str, command)], stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                line = process.stdout.readline()
                if line == "ready\n":
                    ready()
                    line = process.stdout.readline()
        if process.returncode or not line:
            raise RuntimeError(f"the load ended with {process.returncode}")
        return _seen(json.loads(line))


def _seen(told: dict[str, Any]) -> Seen:
    def times(name: str) -> Times | None:
        return Times(**told[name]) if told[name] else None

    plain = {name: told[name] for name in Seen.__dataclass_fields__ if name in told}
    return Seen(**plain, age=times("age_ms"), first=times("first_ms"), end=times("end_ms"))
