"""Start to first event, one after another, and starts a second, 16 at once; each a new connection.

Beside it a Django view that inserts one row, on the same server, in a database that is set up the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.environment import Missing
from bench.load import get
from bench.processes import Process
from bench.results import OURS, Row
from bench.setting import Setting

TITLE = "start to first event of a /count stream"
ONE_BY_ONE, MANY, AT_ONCE = 100, 600, 16
STOCK, PLAIN = "view that inserts one row, startproject's middleware", "view that inserts one row, no middleware"
P50, P99, RATE = "one by one, p50, ms", "one by one, p99, ms", "starts/s"


def measure(setting: Setting, row: Row) -> None:
    """The service is read up to its first event, the view to its end."""
    contenders = dict(_contenders(setting, row))
    one_by_one, many = (5, 20) if setting.quick else (ONE_BY_ONE, MANY)
    for round_number in range(setting.rounds + 1):
        for name, (process, request, events) in contenders.items():
            load = setting.load.requests
            alone = load(process, [request() for _ in range(one_by_one)], at_once=1, events=events).complete()
            crowd = [request() for _ in range(many)]
            together = load(process, crowd, at_once=AT_ONCE, events=events).complete()
            assert alone.end is not None
            if round_number:  # the first one warms up
                row.add(name, P50, alone.end.p50)
                row.add(name, P99, alone.end.p99)
                row.add(name, RATE, many / together.seconds)


def judge(row: Row) -> None:
    """The target, beside the view as Django sets it up, and beside the barest one."""
    row.judge_ratio(f"p50 ≤ 2 × that of a {STOCK}", (OURS, P50), (STOCK, P50), at_most=2)
    row.judge_ratio(f"p50 ≤ 2 × that of a {PLAIN} (harder than asked)", (OURS, P50), (PLAIN, P50), at_most=2)


def _contenders(setting: Setting, row: Row) -> Iterator[tuple[str, tuple[Process, Callable[[], bytes], int]]]:
    service = setting.service()
    yield OURS, (service, lambda: service.start_request("/count 3 0"), 1)
    for name, middleware in ((STOCK, "stock"), (PLAIN, "none")):
        process = setting.peer("django_project:application", BENCH_MIDDLEWARE=middleware)
        if isinstance(process, Missing):
            row.missing.append(f"{name}: {process.reason}")
            continue
        yield name, (process, lambda: get("/insert", {"user_id": "bench", "message": "/count 3 0"}), 0)
