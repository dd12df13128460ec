"""``python -m bench.scale [postgres://…]``: the small measures that docs/SCALE.md is computed from.

What processes take in memory, what a live answer takes in Redis, and, given an empty PostgreSQL database, what an
answer of 1,000 events takes of it. A reader's memory is a row of the benchmark; so is what an event costs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg

from bench import machine
from bench.cluster import Cluster, start_cluster
from bench.environment import HERE, ROOT, Missing, peers
from bench.load import Load
from bench.processes import TICKS
from bench.service import settings_of
from bench.setting import Setting
from bench.upstream import MODEL, prompt

LIVE, EVENTS, EVERY_US = 200, 1000, 200_000
IDLE_SECONDS = 1.0
ENDED = "SELECT count(*) FROM streaming_stream WHERE finished_at IS NOT NULL"
UNSEALED = "SELECT count(*) FROM streaming_streamevent"
TRANSACTIONS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
WRITTEN = "SELECT pg_current_wal_insert_lsn() - '0/0'"
SIZE = "SELECT pg_database_size(current_database())"
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def main(url: str | None) -> None:
    """Print a line for each."""
    cores = machine.cores()
    os.sched_setaffinity(0, {cores.load})
    with tempfile.TemporaryDirectory(prefix="work-", dir=HERE) as work, ExitStack() as running:
        folder = Path(work) / "scale"
        folder.mkdir()
        setting = Setting(cores, Load(cores.load, folder), peers(install=False), folder, 1, False, running)
        for line in (*_memory(setting), *(_postgres(setting, url) if url else ())):
            print(line, flush=True)


def _memory(setting: Setting) -> Iterator[str]:
    cluster = _cluster(setting)
    [web], [worker], redis = cluster.webs, cluster.workers, cluster.redis
    web.cancel(cluster.begin(prompt(chunks=1, hold_ms=3_600_000)))
    time.sleep(IDLE_SECONDS)
    yield f"web process, idle: {web.memory_mib():.0f} MiB"
    idle = worker.memory_mib()
    yield f"worker, idle: {idle:.0f} MiB"
    slow = {"chunks": 100_000, "every_us": EVERY_US}
    ids = [web.begin(prompt(**slow, start=31 * number), model=MODEL) for number in range(LIVE)]
    for stream in ids:
        web.wait_for_event(stream, 0)
    time.sleep(IDLE_SECONDS)
    yield f"worker, each live answer: {1024 * (worker.memory_mib() - idle) / LIVE:.0f} KiB"
    for stream in ids:
        web.cancel(stream)
    empty, file = redis.info("used_memory"), redis.info("aof_current_size")
    held = {"chunks": EVENTS, "hold_ms": 3_600_000}
    for stream in [web.begin(prompt(**held, start=31 * number), model=MODEL) for number in range(LIVE)]:
        web.wait_for_event(stream, EVENTS - 1)
    yield f"Redis, a live answer of {EVENTS} events: {(redis.info('used_memory') - empty) / LIVE / 1024:.0f} KiB"
    yield f"Redis' file, an event: {(redis.info('aof_current_size') - file) / LIVE / EVENTS:.0f} bytes"
    for process in (web, worker, redis):
        process.stop(10)


def _postgres(setting: Setting, url: str) -> Iterator[str]:
    """Answers from their start until they are sealed; the backends' processor time, and not that of the checkpoints."""
    env = settings_of(Path(), DATABASE_URL=url)
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, env=env, check=True)
    cluster = _cluster(setting, DATABASE_URL=url, STREAM_SEAL_SECONDS="0")
    with psycopg.connect(url, autocommit=True) as session:

        def ask(statement: str) -> int:
            found = session.execute(statement.encode()).fetchone()
            return int(found[0]) if found else 0

        def spent() -> float:
            return sum(_cpu(pid) for (pid,) in session.execute(BACKENDS).fetchall())

        _answer(cluster, setting, 5)
        _wait(lambda: ask(UNSEALED) == 0)
        ended, size, began = ask(ENDED), ask(SIZE), time.monotonic()
        cpu, commits, written = spent(), ask(TRANSACTIONS), ask(WRITTEN)
        _answer(cluster, setting, LIVE)
        _wait(lambda: ask(ENDED) == ended + LIVE and ask(UNSEALED) == 0)
        seconds = time.monotonic() - began
        yield f"PostgreSQL, an answer of {EVENTS} events, its backends: {1000 * (spent() - cpu) / LIVE:.1f} ms"
        yield f"PostgreSQL, an answer: {(ask(WRITTEN) - written) / LIVE / 1024:.0f} KiB of WAL"
        yield f"PostgreSQL, an answer: {(ask(SIZE) - size) / LIVE / 1024:.1f} KiB of the database, before a vacuum"
        time.sleep(1)  # its statistics come late
        yield f"PostgreSQL: {(ask(TRANSACTIONS) - commits) / LIVE:.1f} transactions an answer, in {seconds:.0f} s"
        connections = len(session.execute(BACKENDS).fetchall())
        yield f"PostgreSQL: {connections} connections of a web process and a worker"


def _cluster(setting: Setting, **env: str) -> Cluster:
    cluster = start_cluster(setting, setting.upstream(), env=env)
    if isinstance(cluster, Missing):
        raise SystemExit(str(cluster))
    return cluster


def _answer(cluster: Cluster, setting: Setting, answers: int) -> None:
    texts = [prompt(chunks=EVENTS, start=97 * number) for number in range(answers)]
    requests = [cluster.first.start_request(text, model=MODEL) for text in texts]
    setting.load.requests(cluster.first, requests, at_once=20).complete()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _wait(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
