"""Resume on a process that has not seen the answer yet: 1,000 missed events of one that is still being produced."""

from __future__ import annotations

from collections.abc import Iterator

from bench.crossing import NODE, Crossing, node, ours
from bench.environment import Missing
from bench.results import OURS, Row
from bench.setting import Setting
from bench.upstream import prompt

TITLE = "resume on another process, 1,000 missed events"
EVENTS, TIMES = 1000, 20
HOLD_MS = 3_600_000
TIME = "from the connect to the last one, p50, ms"


def measure(setting: Setting, row: Row) -> None:
    """Readers come one after another; nobody else reads there."""
    contenders = dict(_contenders(setting, row))
    requests = {name: it.begin(prompt(chunks=EVENTS, hold_ms=HOLD_MS)) for name, it in contenders.items()}
    times = 2 if setting.quick else TIMES
    for round_number in range(setting.rounds + 1):
        for name, contender in contenders.items():
            asked = [requests[name]] * times
            seen = setting.load.requests(contender.reading, asked, at_once=1, events=EVENTS).complete()
            assert seen.end is not None
            if round_number:  # the first one warms up
                row.add(name, TIME, seen.end.p50)
                row.add(name, TIME.replace("p50", "max"), seen.end.max)


def judge(row: Row) -> None:
    """The targets."""
    row.judge_ratio(f"≤ 1.5 × {NODE}", (OURS, TIME), (NODE, TIME), at_most=1.5)
    row.judge("within 20 ms", row.values(OURS, TIME), at_most=20)


def _contenders(setting: Setting, row: Row) -> Iterator[tuple[str, Crossing]]:
    upstream = setting.upstream()
    for name, made in ((OURS, ours(setting, upstream, webs=2, workers=1)), (NODE, node(setting, upstream))):
        if isinstance(made, Missing):
            row.missing.append(str(made))
        else:
            yield name, made
