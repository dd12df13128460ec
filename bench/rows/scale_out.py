"""Two web processes and two workers beside one of each: 200 answers, as fast as it goes, and at 1,000 events a second.

All processes and Redis share the measured core, so this is not how much more two machines do: it is what an event costs
each kind of process, and whether it costs more because there are more of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.cluster import Cluster, start_cluster
from bench.environment import Missing
from bench.load import Seen
from bench.results import OURS, Row
from bench.service import UNBOUNDED_CONNECTIONS
from bench.setting import Setting
from bench.upstream import MODEL, prompt

TITLE = "2 web processes + 2 workers against 1 + 1"
SIZES = (1, 2)
STREAMS, CHUNKS = 200, 250
EVENTS_A_SECOND, SECONDS = 1_000, 4.0
FLAT, PACED = "flat out", "at 1,000/s"
KINDS = ("web", "worker", "Redis")


def measure(setting: Setting, row: Row) -> None:
    """Both stand side by side, and take turns."""
    upstream = setting.upstream()
    clusters: dict[int, Cluster] = {}
    for size in SIZES:
        made = start_cluster(setting, upstream, webs=size, workers=size, env=UNBOUNDED_CONNECTIONS)
        if isinstance(made, Missing):
            row.missing.append(str(made))
            return
        clusters[size] = made
    for round_number in range(setting.rounds + 1):
        for size, cluster in clusters.items():
            # The first one warms up.
            _measure(setting, row if round_number else Row("", "warm-up"), _name(size), cluster, 31 * round_number)


def judge(row: Row) -> None:
    """Nothing to reach; it is reported."""
    for kind in (FLAT, PACED):
        ends = [(_name(size), f"{kind}: all processes, µs an event") for size in reversed(SIZES)]
        row.judge_ratio(f"{kind}: an event of 2 + 2 costs ≤ 1.25 × one of 1 + 1 (not asked)", *ends, at_most=1.25)


def _name(size: int) -> str:
    return f"{OURS}, {size} + {size}"


def _measure(setting: Setting, row: Row, name: str, cluster: Cluster, start: int) -> None:
    streams, chunks = (10, 20) if setting.quick else (STREAMS, CHUNKS)
    first, *others = cluster.webs
    requests = [first.start_request(prompt(chunks=chunks, start=start + n), model=MODEL) for n in range(streams)]
    flat = _count(row, name, FLAT, cluster, lambda: _flat(setting, cluster, requests))
    row.add(name, "flat out: events/s", flat.rate)
    every_us = 1_000_000 * streams // EVENTS_A_SECOND
    seconds = 0.5 if setting.quick else SECONDS
    ids = [
        web.begin(prompt(chunks=100_000, every_us=every_us, start=start + number), model=MODEL)
        for number, web in zip(range(streams), cluster.webs * streams, strict=False)
    ]
    reads = [first.read_request(stream_id) for stream_id in ids]
    _count(row, name, PACED, cluster, lambda: setting.load.window(first, reads, seconds=seconds, skip=0.5, also=others))
    for stream_id in ids:
        first.cancel(stream_id)


def _flat(setting: Setting, cluster: Cluster, requests: list[bytes]) -> Seen:
    first, *others = cluster.webs
    return setting.load.requests(first, requests, at_once=len(requests), also=others).complete()


def _count(row: Row, name: str, kind: str, cluster: Cluster, work: Callable[[], Seen]) -> Seen:
    """Add what an event took of each kind of process; the time in which nobody counts is counted too, and small."""
    before, began = _cpu(cluster), time.monotonic()
    seen = work()
    events = seen.rate * (time.monotonic() - began)
    spent = [1e6 * (after - earlier) / events for after, earlier in zip(_cpu(cluster), before, strict=True)]
    for process, micros in zip(KINDS, spent, strict=True):
        row.add(name, f"{kind}: {process}, µs an event", micros)
    row.add(name, f"{kind}: all processes, µs an event", sum(spent))
    return seen


def _cpu(cluster: Cluster) -> list[float]:
    return [
        sum(process.cpu_seconds() for process in processes)
        for processes in (cluster.webs, cluster.workers, [cluster.redis])
    ]
