"""A rolling restart: two web processes and the worker are replaced, one after the other, under 200 live answers.

A new process is put into rotation once it is ready; then the old one is taken out and told to stop. Readers come back
as the browser's client does, after a second, a tenth more or less. A new worker is there before the old one stops.
"""

from __future__ import annotations

import asyncio
from statistics import median

from bench.cluster import Cluster, start_cluster
from bench.environment import Missing
from bench.results import OURS, Row
from bench.returning import Returning, Rotation, read_all
from bench.setting import Setting
from bench.upstream import MODEL, Upstream, prompt

TITLE = "rolling restart under 200 streams"
STREAMS, EVERY_US = 200, 200_000
SETTLE_SECONDS = 2.5
STOP_SECONDS = 30
LONGEST, P50, CUTS = "longest gap of any reader, s", "gap of a reader that was cut, p50, s", "cuts a reader"


def measure(setting: Setting, row: Row) -> None:
    """One cluster: each round replaces what the round before has started."""
    upstream = setting.upstream()
    cluster = start_cluster(setting, upstream, webs=2, workers=1)
    if isinstance(cluster, Missing):
        row.missing.append(str(cluster))
        return
    for _ in range(setting.rounds):
        readers = asyncio.run(_round(setting, cluster, upstream))
        if broken := [reader.broken for reader in readers if reader.broken]:
            raise RuntimeError(f"{len(broken)} readers missed events: {broken[0]}")
        gaps = [gap for reader in readers for gap in reader.gaps]
        row.add(OURS, LONGEST, max(reader.longest for reader in readers))
        row.add(OURS, P50, median(gaps))
        row.add(OURS, CUTS, len(gaps) / len(readers))


def judge(row: Row) -> None:
    """The targets."""
    row.judge("longest gap ≤ 3 s", row.values(OURS, LONGEST), at_most=3)
    row.judge("p50 ≤ 1.3 s", row.values(OURS, P50), at_most=1.3)


async def _round(setting: Setting, cluster: Cluster, upstream: Upstream) -> list[Returning]:
    streams = 10 if setting.quick else STREAMS
    scripts = [prompt(chunks=100_000, every_us=EVERY_US, start=number) for number in range(streams)]
    readers = [Returning(cluster.first.begin(script, model=MODEL)) for script in scripts]
    rotation, over = Rotation(list(cluster.webs)), asyncio.Event()
    reading = asyncio.create_task(read_all(readers, rotation, over))
    settle = 1.5 if setting.quick else SETTLE_SECONDS
    await asyncio.sleep(settle)
    await asyncio.to_thread(_replace_all, setting, cluster, upstream, rotation)
    await asyncio.sleep(settle)
    over.set()
    await reading
    for reader in readers:
        await asyncio.to_thread(cluster.first.cancel, reader.stream_id)
    return readers


def _replace_all(setting: Setting, cluster: Cluster, upstream: Upstream, rotation: Rotation) -> None:
    for old in list(cluster.webs):
        new = setting.service(upstream=upstream, database=old.database, **cluster.env)
        cluster.webs[cluster.webs.index(old)] = new
        rotation.services.append(new)
        rotation.services.remove(old)
        old.stop(STOP_SECONDS)
    [old_worker] = cluster.workers
    cluster.workers[:] = [setting.worker(cluster.first)]
    old_worker.begin_to_stop()
