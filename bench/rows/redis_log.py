"""The log in Redis: 200 live streams that append as fast as it takes them, beside raw pipelined XADD.

By the processor time of the process that appends; Redis has the other core, and syncs its file before it answers.
"""

from __future__ import annotations

import json

from bench.environment import Missing
from bench.redis import Redis
from bench.results import OURS, Row
from bench.service import make_database, settings_of
from bench.setting import Setting

TITLE = "Redis log, 200 live streams, appendfsync always"
STREAMS = 200
BATCHES = {1: 100, 5: 20}
"""Events of an append, and the round trips that are measured."""
PIPELINE, PACKED = "XADD, redis-py's pipeline", "XADD, packed by hiredis"
CONTENDERS = {OURS: "log", PIPELINE: "pipeline", PACKED: "packed"}


def measure(setting: Setting, row: Row) -> None:
    """Each contender is a new process; all write to one Redis."""
    redis = setting.redis(setting.cores.load)
    if isinstance(redis, Missing):
        row.missing.append(str(redis))
        return
    streams = 10 if setting.quick else STREAMS
    for _ in range(setting.rounds):
        for events, round_trips in BATCHES.items():
            for name, contender in CONTENDERS.items():
                redis.empty()
                trips = 5 if setting.quick else round_trips
                _measure(setting, row, redis, name, [contender, str(streams), str(events), str(trips)])


def _measure(setting: Setting, row: Row, redis: Redis, name: str, arguments: list[str]) -> None:
    env = settings_of(make_database(setting.folder), REDIS_URL=redis.url)
    before = redis.cpu_seconds()
    taken = json.loads(setting.run_own("redis_log_project.py", *arguments, env=env))
    per_append = f"{arguments[2]} an append"
    row.add(name, f"events/s per core, {per_append}", taken["events"] / taken["cpu_s"])
    row.add(name, f"events/s, {per_append}", taken["events"] / taken["seconds"])
    row.add(name, f"Redis' time an event, {per_append}, µs", 1e6 * (redis.cpu_seconds() - before) / taken["events"])


def judge(row: Row) -> None:
    """The target, beside redis-py, and beside what is hardly a client any more."""
    for events in BATCHES:
        metric = f"events/s per core, {events} an append"
        row.judge_ratio(f"{events} an append: ≥ 0.5 × {PIPELINE}", (OURS, metric), (PIPELINE, metric), at_least=0.5)
        target = f"{events} an append: ≥ 0.5 × {PACKED} (harder than asked)"
        row.judge_ratio(target, (OURS, metric), (PACKED, metric), at_least=0.5)
