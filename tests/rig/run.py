"""A run of the rig: clients and faults at the same time, and then the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.rig.faults import Fault, Schedule
from tests.rig.load import Load, Shape
from tests.rig.machines import Machines
from tests.rig.verdict import Verdict, judge

AFTERWARDS_SECONDS = 180
"""After the last stream should have ended by itself, what has not is a breach."""


@dataclass(frozen=True)
class Plan:
    """``seconds``: how long streams keep coming; the first fault comes after ``every`` seconds."""

    seed: int
    shape: Shape
    seconds: float
    every: float
    faults: Sequence[Fault]


def run(machines: Machines, plan: Plan, say: Callable[[str], None] = lambda _: None) -> Verdict:
    """Let it all happen, wait until every stream has ended, and judge."""
    began = time.monotonic()

    def tell(what: str) -> None:
        say(f"{time.monotonic() - began:6.1f} s  {what}")

    schedule = Schedule(machines, plan.faults, plan.seed, tell)
    load = Load(machines.urls, machines.key, plan.shape, plan.seed, schedule.damage)
    hung = asyncio.run(_run(schedule, load, plan))
    tell("all faults undone, all readers at the end")
    machines.check_logs()
    verdict = judge(machines, load, schedule.damage)
    return Verdict([*hung, *verdict.broken], verdict.figures)


async def _run(schedule: Schedule, load: Load, plan: Plan) -> list[str]:
    """The streams that hung."""
    count = max(1, int(plan.seconds / plan.every) - 1)
    harm = asyncio.create_task(asyncio.to_thread(schedule.run, plan.every, count))
    try:
        async with asyncio.timeout(plan.seconds + plan.shape.seconds[1] + AFTERWARDS_SECONDS):
            await load.run(plan.seconds)
    except TimeoutError:
        return [f"{stream}: hung" for stream in sorted(load.live)]
    finally:
        await harm
    return []
