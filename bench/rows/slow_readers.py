"""50 readers that never read a 5 MB answer, and 20 readers of another answer beside them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event, Thread

from bench.results import OURS, Row
from bench.service import Service
from bench.setting import Setting
from bench.upstream import MODEL, prompt

TITLE = "50 readers that never read a 5 MB answer, 20 others beside them"
STALLED, OTHERS = 50, 20
SECONDS = 4.0
LARGE = {"chunks": 2_500, "size": 2_000, "every_us": 1_200}
"""5 MB in 3 s."""
SMALL = {"chunks": 100_000, "every_us": 10_000, "stamped": 1}
SERVERS = ("uvicorn", "daphne")
GROWTH, P99 = "memory, growth, MiB", "the others' age of an event, p99, ms"
WITH, WITHOUT = "with the 50", "without them"


def measure(setting: Setting, row: Row) -> None:
    """A new process each time: memory that a process once had, it keeps."""
    upstream = setting.upstream()
    for _ in range(setting.rounds):
        for server in SERVERS[:1] if setting.quick else SERVERS:
            for stalled in (0, STALLED):
                service = setting.service(server=server, upstream=upstream)
                name = f"{OURS}, {server}, {WITH if stalled else WITHOUT}"
                _measure(setting, row, name, service, stalled)
                service.stop()


def _measure(setting: Setting, row: Row, name: str, service: Service, stalled: int) -> None:
    small = service.begin(prompt(**SMALL), model=MODEL)
    large = service.begin(prompt(delay_ms=800, **LARGE), model=MODEL)
    before = service.memory_mib()
    with _never_reading(service.port, [service.read_request(large)] * stalled), _peak(service) as peak:
        requests = [service.read_request(small)] * OTHERS
        seconds = 1 if setting.quick else SECONDS
        seen = setting.load.window(service, requests, seconds=seconds, stamped=True)
        if not setting.quick:
            service.wait_until_closed(large)
    row.add(name, GROWTH, max(peak) - before)
    if seen.age is not None:
        row.add(name, P99, seen.age.p99)


@contextmanager
def _never_reading(port: int, requests: Sequence[bytes]) -> Iterator[None]:
    with ExitStack() as opened:
        for request in requests:
            connection = opened.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", port))
            connection.sendall(request)
        yield


@contextmanager
def _peak(service: Service) -> Iterator[list[float]]:
    """The memory of the process, looked at every 50 ms."""
    seen, over = [service.memory_mib()], Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.append(service.memory_mib())

    thread = Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        time.sleep(0.1)
        over.set()
        thread.join()


def judge(row: Row) -> None:
    """Memory beyond what the answers themselves take; flat is taken as 10 MiB, the noise of an allocator."""
    for server, most in (("daphne", 64), ("uvicorn", 10)):
        with_them, without = f"{OURS}, {server}, {WITH}", f"{OURS}, {server}, {WITHOUT}"
        pairs = zip(row.values(with_them, GROWTH), row.values(without, GROWTH), strict=False)
        target = f"{server}: memory grows by ≤ {most} MiB more than without the 50"
        row.judge(target, [a - b for a, b in pairs], at_most=most)
        row.judge_ratio(f"{server}: the others' p99 ≤ 1.5 ×", (with_them, P99), (without, P99), at_most=1.5)
