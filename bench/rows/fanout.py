"""Live fan-out: one stream, produced flat out, to 100 and to 1,000 readers who are all there before it begins."""

from __future__ import annotations

import http.client
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.environment import Missing
from bench.load import Seen, get
from bench.processes import Process, free_port
from bench.results import OURS, Row
from bench.service import UNBOUNDED_CONNECTIONS, Service
from bench.setting import Setting

SECONDS = 1.2
SKIP = 0.3
TITLE = "live fan-out, one stream flat out"
HUB, JOINED_HUB = "bare ASGI hub", "bare ASGI hub, joined writes"
STARLETTE, EVENTSTREAM, NCHAN = "sse-starlette", "django-eventstream, DB", "nginx + nchan"


@dataclass
class Peer:
    """A server that publishes from ``/go`` to ``/stop`` for those who read ``path``."""

    process: Process
    path: str

    def measure(self, setting: Setting, readers: int, seconds: float) -> Seen:
        """Readers first, then the publisher."""
        seen = setting.load.window(
            self.process, [get(self.path)] * readers, seconds=seconds, skip=SKIP, ready=lambda: self._call("/go")
        )
        self._call("/stop")
        return seen

    def _call(self, path: str) -> None:
        urllib.request.urlopen(f"http://127.0.0.1:{self.process.port}{path}", timeout=30).read()


@dataclass
class Nchan:
    """nginx with nchan, to which one publisher on the load's core posts over one connection."""

    process: Process

    def measure(self, setting: Setting, readers: int, seconds: float) -> Seen:
        """As ``Peer.measure``."""
        with self._publisher() as go:
            return setting.load.window(
                self.process, [get("/events")] * readers, seconds=seconds, skip=SKIP, ready=go.set
            )

    @contextmanager
    def _publisher(self) -> Iterator[threading.Event]:
        go, over = threading.Event(), threading.Event()

        def publish() -> None:
            go.wait()
            connection = http.client.HTTPConnection("127.0.0.1", self.process.port)
            number = 0
            while not over.is_set():
                number += 1
                connection.request("POST", "/publish", f'{{"content":"{number} ","tokens":1,"cost_usd":6e-07}}')
                connection.getresponse().read()
            connection.close()

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield go
        finally:
            over.set()
            go.set()
            thread.join()


@dataclass
class Ours:
    """The service: ``/count`` flat out, through its log."""

    process: Service
    gate: Path

    def measure(self, setting: Setting, readers: int, seconds: float) -> Seen:
        """As ``Peer.measure``."""
        self.gate.unlink(missing_ok=True)
        stream_id = self.process.begin("/count 9999999 0")
        requests = [self.process.read_request(stream_id)] * readers
        try:
            return setting.load.window(self.process, requests, seconds=seconds, skip=SKIP, ready=self.gate.touch)
        finally:
            self.process.cancel(stream_id)


def measure(setting: Setting, row: Row) -> None:
    """Both servers, all contenders."""
    contenders = {name: it for name, it in _contenders(setting) if not _is_missing(it, row)}
    sizes = (10,) if setting.quick else (100, 1000)
    for _ in range(setting.rounds):
        for readers in sizes:
            for name, contender in contenders.items():
                assert not isinstance(contender, Missing)
                seen = contender.measure(setting, readers, 0.3 if setting.quick else SECONDS)
                row.add(name, f"events/s, {readers} readers", seen.rate)
                row.add(name, f"load's core busy, {readers} readers, %", 100 * seen.cpu_s / seen.seconds)
                if seen.slowest * readers < seen.events / 10:
                    row.notes.append(f"{name}, {readers} readers: the slowest reader got {seen.slowest} events")


def judge(row: Row) -> None:
    """The targets."""
    for readers in (100, 1000):
        metric = f"events/s, {readers} readers"
        ours = (f"{OURS}, uvicorn", metric)
        for peer, times in ((f"{HUB}, uvicorn", 0.85), (f"{STARLETTE}, uvicorn", 1.6), (f"{EVENTSTREAM}, uvicorn", 4)):
            row.judge_ratio(f"{readers} readers: ≥ {times} × {peer}", ours, (peer, metric), at_least=times)
        row.judge_ratio(
            f"{readers} readers: ≥ 0.85 × {JOINED_HUB}, uvicorn (harder than asked)",
            ours,
            (f"{JOINED_HUB}, uvicorn", metric),
            at_least=0.85,
        )
        daphne = (f"{OURS}, daphne", metric)
        peer = f"{EVENTSTREAM}, daphne"
        row.judge_ratio(f"{readers} readers: ≥ 2 × {peer}", daphne, (peer, metric), at_least=2)


def _is_missing(contender: object, row: Row) -> bool:
    if isinstance(contender, Missing):
        row.missing.append(str(contender))
    return isinstance(contender, Missing)


def _contenders(setting: Setting) -> Iterator[tuple[str, Peer | Nchan | Ours | Missing]]:
    for server in ("uvicorn",) if setting.quick else ("uvicorn", "daphne"):
        yield f"{OURS}, {server}", _ours(setting, server)
        yield f"{EVENTSTREAM}, {server}", _peer(setting, "eventstream_project", "/events", server)
    yield f"{HUB}, uvicorn", _peer(setting, "hub", "/events")
    if setting.quick:
        return
    yield f"{JOINED_HUB}, uvicorn", _peer(setting, "hub", "/events", HUB_JOINED="1")
    yield f"{STARLETTE}, uvicorn", _peer(setting, "starlette_hub", "/events")
    yield NCHAN, _nchan(setting)


def _ours(setting: Setting, server: str) -> Ours:
    gate = setting.folder / f"gate-{server}"
    service = setting.service(
        server=server, settings="bench.apps.gated_settings", BENCH_GATE=str(gate), **UNBOUNDED_CONNECTIONS
    )
    return Ours(service, gate)


def _peer(setting: Setting, module: str, path: str, server: str = "uvicorn", **env: str) -> Peer | Missing:
    process = setting.peer(f"{module}:application", server, **env)
    return process if isinstance(process, Missing) else Peer(process, path)


def _nchan(setting: Setting) -> Nchan | Missing:
    if isinstance(setting.peers.nchan, Missing):
        return setting.peers.nchan
    port = free_port()
    configuration = setting.folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=setting.folder, port=port))
    command = [setting.peers.nchan, "-c", str(configuration), "-g", "daemon off;"]
    return Nchan(setting.start(command, port))


NGINX = """\
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
master_process off;
worker_processes 1;
error_log {folder}/nginx-error.log crit;
pid {folder}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    keepalive_requests 100000000;
    nchan_channel_id bench;
    location = /events {{ nchan_subscriber eventsource; nchan_subscriber_first_message newest; }}
    location = /publish {{ nchan_publisher; nchan_message_buffer_length 4096; }}
  }}
}}
"""
