"""The load alone: the C client reads the C upstream, on two cores, with nothing between them. The limit of the rest."""

from __future__ import annotations

from bench.load import post
from bench.results import Row
from bench.setting import Setting
from bench.upstream import MODEL, Upstream, prompt

TITLE = "the load alone: client and upstream, both in C"
STREAMS, EVENTS = 100, 2_000
RATE, BUSY = "events/s", "client's core busy, %"


def measure(setting: Setting, row: Row) -> None:
    """An event a write, and 64 events a write."""
    upstream = setting.kept(Upstream(setting.cores.server, setting.folder))
    events = 100 if setting.quick else EVENTS
    for _ in range(setting.rounds):
        for batch in (1, 64):
            scripts = [prompt(chunks=events, start=97 * number, batch=batch) for number in range(STREAMS)]
            requests = [
                post("/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": script}]})
                for script in scripts
            ]
            seen = setting.load.requests(upstream, requests, at_once=STREAMS).complete()
            name = "an event a write" if batch == 1 else f"{batch} events a write"
            row.add(name, RATE, seen.rate)
            row.add(name, BUSY, 100 * seen.cpu_s / seen.seconds)


def judge(row: Row) -> None:
    """There is no target."""
