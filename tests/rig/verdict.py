"""What a run of the rig was, and what is to be said of it: the history against the promises, and some figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.faults.recorder import read_database
from tests.history import Call, Database, History, Request
from tests.promises import breaches
from tests.rig.faults import Damage
from tests.rig.load import CALM_AFTER, CALM_BEFORE, Load
from tests.rig.machines import Machines


@dataclass(frozen=True)
class Verdict:
    """``broken``: what must not be; nothing, where all is well. ``figures``: for people."""

    broken: list[str]
    figures: dict[str, object]

    def check(self) -> None:
        """Raises AssertionError where a promise was broken."""
        assert not self.broken, "\n".join([*self.broken[:100], f"{len(self.broken)} in all"])


def judge(machines: Machines, load: Load, damage: Damage) -> Verdict:
    """Compare what was read, what the provider counted and what the database holds."""
    history = History(
        database=read_database(machines.records),
        readings=load.readings,
        calls=machines.provider.calls(),
        requests=[_as_promised(request, damage) for request in load.requests],
        deaths=damage.deaths,
        harmed=frozenset(damage.harmed),
    )
    found = [f"promise {each.promise}, {each.stream}: {each.what}" for each in breaches(history)]
    unexplained = [f"{stream}: ended as internal; no fault explains that" for stream in _internal(history.database)]
    return Verdict([*load.oddities, *found, *unexplained], _figures(history, load, damage))


def _internal(database: Database) -> list[str]:
    """Streams that ended because something went wrong on the service's own side."""
    ends = {stream: stored.events[-1] for stream, stored in database.items() if stored.events}
    return [stream for stream, end in ends.items() if end.values.get("error_type") == "internal"]


def _as_promised(request: Request, damage: Damage) -> Request:
    near = request.verb == "cancel" and damage.is_near(request.at, CALM_BEFORE, CALM_AFTER)
    return replace(request, calm=not near)


def _figures(history: History, load: Load, damage: Damage) -> dict[str, object]:
    settled = load.lived[len(load.lived) // 6 :] or [0]
    frames = sum(len(reading.frames) for reading in history.readings)
    return {
        "streams": len(history.database),
        "ended as": dict(Counter(stored.status for stored in history.database.values())),
        "live at a time, from, mean, to": (min(settled), sum(settled) // len(settled), max(settled)),
        "events": sum(len(stored.events) for stored in history.database.values()),
        "frames read": frames,
        "connections": len(history.readings),
        "faults": len(damage.times),
        "harmed": len(damage.harmed),
        "calls, by the provider and by the ledger": _calls(history.calls, history.database),
        "tokens told, by the provider and by the ledger": _tokens(history.calls, history.database),
        "seen": dict(sorted(load.seen.items())),
    }


def _calls(calls: Sequence[Call], database: Database) -> tuple[int, int]:
    asked = {call.stream for call in calls}
    return len(calls), sum(stream in asked for stream in database)


def _tokens(calls: Sequence[Call], database: Database) -> tuple[int, int]:
    told = {call.stream: call.usage for call in calls if call.usage}
    rows = {stream: stored.costs[0] for stream, stored in database.items() if stored.costs}
    by_ledger = {stream for stream, cost in rows.items() if cost.state == "provider"}
    return (
        sum(sum(usage) for stream, usage in told.items() if usage and stream in by_ledger),
        sum(rows[stream].prompt + rows[stream].completion for stream in by_ledger),
    )
