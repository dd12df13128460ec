"""Replay of 1,000 missed events to one reader, and to 50 at once: of a live stream, and of a sealed one."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from bench.environment import Missing
from bench.load import get
from bench.processes import Process
from bench.results import OURS, Row
from bench.service import SEALED_AT_ONCE, Service
from bench.setting import Setting
from bench.upstream import MODEL, prompt

TITLE = "replay of 1,000 missed events"
EVENTS = 1000
TIMES = 20
CROWD = 50
BARE, DJANGO = "joined bytes from memory, bare ASGI", "joined bytes from memory, Django view"
EVENTSTREAM = "django-eventstream, DB"
LIVE, SEALED = f"{OURS}, live", f"{OURS}, sealed"
HOLD_MS = 3_600_000


@dataclass
class Replayed:
    """A server, and the request that is answered with the 1,000 events."""

    process: Process
    request: bytes
    events: int = EVENTS


def measure(setting: Setting, row: Row) -> None:
    """From the connect to the 1,000th event."""
    service = setting.service(upstream=setting.upstream(), **SEALED_AT_ONCE)
    contenders = dict(_contenders(setting, service, row))
    times = 2 if setting.quick else TIMES
    for round_number in range(setting.rounds + 1):
        for name, it in contenders.items():
            one = setting.load.requests(it.process, [it.request] * times, at_once=1, events=it.events).complete()
            crowd = [it.request] * CROWD
            many = setting.load.requests(it.process, crowd, at_once=CROWD, events=it.events).complete()
            assert one.end is not None and many.end is not None
            if round_number:  # the first one warms up
                row.add(name, "one reader, ms", one.end.p50)
                row.add(name, f"{CROWD} at once, the last, ms", many.end.max)
                row.add(name, f"{CROWD} at once, the median, ms", many.end.p50)


def judge(row: Row) -> None:
    """The targets."""
    one, many = "one reader, ms", f"{CROWD} at once, the last, ms"
    for ours in (LIVE, SEALED):
        for metric, times in ((one, 5), (many, 10)):
            target = f"{ours}, {metric.removesuffix(', ms')}: ≥ {times} × faster than {EVENTSTREAM}"
            row.judge_ratio(target, (EVENTSTREAM, metric), (ours, metric), at_least=times)
            for memory in (DJANGO, BARE):
                target = f"{ours}, {metric.removesuffix(', ms')}: ≤ 1.5 × {memory}"
                row.judge_ratio(target, (ours, metric), (memory, metric), at_most=1.5)


def _contenders(setting: Setting, service: Service, row: Row) -> Iterator[tuple[str, Replayed]]:
    live = service.begin(prompt(chunks=EVENTS, hold_ms=HOLD_MS), model=MODEL)
    service.wait_for_event(live, EVENTS - 1)
    yield LIVE, Replayed(service, service.read_request(live))
    sealed = service.begin(prompt(chunks=EVENTS), model=MODEL)
    service.wait_until_closed(sealed)
    service.wait_until_sealed()
    yield SEALED, Replayed(service, service.read_request(sealed))
    for name, module in ((BARE, "hub"), (DJANGO, "django_project")):
        memory = setting.peer(f"{module}:application")
        if isinstance(memory, Missing):
            row.missing.append(f"{name}: {memory.reason}")
        else:
            yield name, Replayed(memory, get("/replay"))
    peer = setting.peer("eventstream_project:application")
    if isinstance(peer, Missing):
        row.missing.append(f"{EVENTSTREAM}: {peer.reason}")
    else:
        urllib.request.urlopen(f"http://127.0.0.1:{peer.port}/fill", timeout=60).read()
        # Its opening event comes on top.
        yield EVENTSTREAM, Replayed(peer, get("/events", {"lastEventId": "bench:1"}), EVENTS + 1)
