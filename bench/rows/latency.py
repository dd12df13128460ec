"""What the service adds to a token's way, idle: one answer at 100 deltas a second, through the log, to its reader.

A delta carries the time at which the upstream sent it; its age on arrival is taken, with and without the service.
"""

from __future__ import annotations

from bench.load import post
from bench.results import OURS, Row
from bench.setting import Setting
from bench.upstream import MODEL, prompt

TITLE = "added to a token's way, idle, durable"
DIRECT = "the upstream, direct"
EVERY_US = 10_000
P50, P99 = "age of a token, p50, ms", "age of a token, p99, ms"


def measure(setting: Setting, row: Row) -> None:
    """The same answers, direct and through the service."""
    upstream = setting.upstream()
    service = setting.service(upstream=upstream)
    chunks = 30 if setting.quick else 300
    for round_number in range(setting.rounds + 1):
        text = prompt(chunks=chunks, every_us=EVERY_US, stamped=1, start=31 * round_number)
        asked = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": text}]}
        for name, server, request in (
            (DIRECT, upstream, post("/v1/chat/completions", asked)),
            (OURS, service, service.start_request(text, model=MODEL)),
        ):
            seen = setting.load.requests(server, [request], at_once=1, stamped=True).complete()
            assert seen.age is not None
            if round_number:  # the first one warms up
                row.add(name, P50, seen.age.p50)
                row.add(name, P99, seen.age.p99)


def judge(row: Row) -> None:
    """The targets are differences."""
    for metric, name, most in ((P50, "p50", 2), (P99, "p99", 8)):
        pairs = zip(row.values(OURS, metric), row.values(DIRECT, metric), strict=False)
        row.judge(f"{name} ≤ {most} ms more than direct", [ours - direct for ours, direct in pairs], at_most=most)
