"""10,000 open readers in one process, an event every 2 s each: 1,000 live answers with 10 readers each.

The service's events come from the upstream, through the log; those of bare ASGI from a timer in the process itself.
"""

from __future__ import annotations

from bench.environment import Missing
from bench.load import get
from bench.machine import raise_file_limit
from bench.processes import Process
from bench.results import OURS, Row
from bench.service import Service
from bench.setting import Setting
from bench.upstream import MODEL, prompt

TITLE = "10,000 open readers, an event every 2 s each"
READERS, STREAMS = 10_000, 1_000
SPARE_FILES = 3_000
EVERY_US = 2_000_000
SECONDS = 5.0
BARE = "bare ASGI, uvicorn"
MEMORY, THREADS, P99 = "memory a reader, KiB", "threads", "age of an event on arrival, p99, ms"
CONNECTED, OPENING = "connected, %", "to connect all, s"


def measure(setting: Setting, row: Row) -> None:
    """A new process each round: memory that a process once had, it keeps."""
    readers, streams = (50, 5) if setting.quick else (READERS, STREAMS)
    if (most := raise_file_limit() - SPARE_FILES) < readers:
        row.notes.append(f"only {most} readers: the limit of open files is {most + SPARE_FILES} (ulimit -Hn)")
        readers = most
    upstream = setting.upstream()
    for _ in range(setting.rounds):
        service = setting.service(upstream=upstream)
        requests = _begin(service, readers, streams)
        _measure(setting, row, OURS, service, requests)
        service.stop()
        bare = setting.peer("hub:application")
        if isinstance(bare, Missing):
            if str(bare) not in row.missing:
                row.missing.append(str(bare))
            continue
        _measure(setting, row, BARE, bare, [get("/tick")] * readers)
        bare.stop()


def _begin(service: Service, readers: int, streams: int) -> list[bytes]:
    """Start the answers; their readers' requests."""
    scripts = [prompt(chunks=100_000, every_us=EVERY_US, stamped=1, start=number) for number in range(streams)]
    ids = [service.begin(script, model=MODEL) for script in scripts]
    return [service.read_request(ids[number % streams]) for number in range(readers)]


def _measure(setting: Setting, row: Row, name: str, process: Process, requests: list[bytes]) -> None:
    before = process.memory_mib()
    used: dict[str, float] = {}

    def look() -> None:
        used["memory"], used["threads"] = process.memory_mib() - before, process.threads()

    seconds = 1 if setting.quick else SECONDS
    seen = setting.load.window(
        process, requests, seconds=seconds, skip=0 if setting.quick else 2, stamped=True, ready=look, timeout=180
    )
    row.add(name, MEMORY, 1024 * used["memory"] / len(requests))
    row.add(name, THREADS, used["threads"])
    row.add(name, CONNECTED, 100 * seen.answered / len(requests))
    row.add(name, OPENING, seen.opening_s)
    if seen.age is not None:
        row.add(name, P99, seen.age.p99)


def judge(row: Row) -> None:
    """The targets."""
    row.judge("≤ 30 KiB a reader", row.values(OURS, MEMORY), at_most=30)
    row.judge("≤ 20 threads in all", row.values(OURS, THREADS), at_most=20)
    row.judge("p99 of delivery ≤ 15 ms", row.values(OURS, P99), at_most=15)
    row.judge("all connect, %", row.values(OURS, CONNECTED), at_least=100)
