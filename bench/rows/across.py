"""A token's way across processes: who produces, Redis, a web process, the reader; 20 answers of 50 events a second.

All of it but the upstream and the readers is on one core. A delta carries the time at which the upstream sent it.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.crossing import BARE, NODE, Crossing, bare, node, ours
from bench.environment import Missing
from bench.results import OURS, Row
from bench.setting import Setting
from bench.upstream import prompt

TITLE = "a token's way worker → Redis → web → reader, at 1,000 events/s"
INLINE = f"{OURS}, produced by another web process"
STREAMS, EVERY_US = 20, 20_000
SECONDS, AROUND = 4.0, 3.0
"""What is measured of an answer, and how much longer it is: no answer runs into the next contender's turn."""
P50, P99 = "age of a token, p50, ms", "age of a token, p99, ms"


def measure(setting: Setting, row: Row) -> None:
    """New answers each round."""
    contenders = dict(_contenders(setting, row))
    streams, seconds = (4, 0.3) if setting.quick else (STREAMS, SECONDS)
    script = {"every_us": EVERY_US, "stamped": 1, "chunks": round(1e6 * (seconds + AROUND) / EVERY_US)}
    for round_number in range(setting.rounds):
        for name, contender in contenders.items():
            starts = [31 * (streams * round_number + number) for number in range(streams)]
            requests = [contender.begin(prompt(**script, start=start)) for start in starts]
            seen = setting.load.window(contender.reading, requests, seconds=seconds, skip=0.2, stamped=True)
            assert seen.age is not None
            row.add(name, P50, seen.age.p50)
            row.add(name, P99, seen.age.p99)
            row.add(name, "events/s", seen.rate)


def judge(row: Row) -> None:
    """The target."""
    row.judge_ratio(f"p99 ≤ 3 × {BARE}", (OURS, P99), (BARE, P99), at_most=3)


def _contenders(setting: Setting, row: Row) -> Iterator[tuple[str, Crossing]]:
    upstream = setting.upstream()
    for name, made in (
        (OURS, ours(setting, upstream, webs=1, workers=1)),
        (INLINE, ours(setting, upstream, webs=2, workers=0)),
        (BARE, bare(setting, upstream)),
        (NODE, node(setting, upstream)),
    ):
        if isinstance(made, Missing):
            row.missing.append(str(made))
        else:
            yield name, made
