"""Telemetry: what clients saw of their connections. Checked, counted, and never kept.

Counts and times alone: a report names no user, no stream and no text, and whatever else it holds is not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streaming.errors import FieldError, InvalidRequest, TooManyReports
from streaming.metrics import count_client_report

MOST_COUNTED = 10_000
LONGEST_MS = 24 * 3600 * 1000
MOST_TIMES = 50
COUNTS = {
    "reconnects": "Connections that were taken up again.",
    "duplicates_dropped": "Events that came more than once.",
    "stalls": "Silences that were given up.",
    "gaps": "Holes that did not close by themselves.",
    "fresh_copies": "Copies that were thrown away for the snapshot.",
    "connections_opened": "Connections that were opened.",
    "connections_failed": "Connections that were not.",
}
TIMES = "time_to_recover_ms"


@dataclass(frozen=True, slots=True)
class Report:
    """What one client saw of its streams since its last report."""

    reconnects: int = 0
    duplicates_dropped: int = 0
    stalls: int = 0
    gaps: int = 0
    fresh_copies: int = 0
    connections_opened: int = 0
    connections_failed: int = 0
    time_to_recover_ms: tuple[float, ...] = ()
    """From each loss to the next event."""


def parse(values: dict[str, Any]) -> Report:
    """A report as it was sent. What is left out is zero. Raises InvalidRequest with every bad field."""
    errors = [
        FieldError(name, f"must be a whole number from 0 to {MOST_COUNTED}")
        for name in COUNTS
        if not _is_number(values.get(name, 0), MOST_COUNTED, int)
    ]
    given = values.get(TIMES, [])
    times = given if isinstance(given, list) else [given]
    if len(times) > MOST_TIMES or not all(_is_number(ms, LONGEST_MS, int, float) for ms in times):
        errors.append(FieldError(TIMES, f"must be at most {MOST_TIMES} numbers from 0 to {LONGEST_MS}"))
    if errors:
        raise InvalidRequest(*errors)
    counts = {name: values[name] for name in COUNTS if name in values}
    return Report(**counts, time_to_recover_ms=tuple(map(float, times)))


def record(report: Report) -> None:
    """Count a report."""
    count_client_report(
        reconnects=report.reconnects,
        duplicates=report.duplicates_dropped,
        stalls=report.stalls,
        gaps=report.gaps,
        fresh_copies=report.fresh_copies,
        recoveries=(ms / 1000 for ms in report.time_to_recover_ms),
        opened=report.connections_opened,
        failed=report.connections_failed,
    )


class Turnstile:
    """Lets each client through so many times in a while, and remembers no more clients than ``most_clients``."""

    def __init__(
        self, clock: Callable[[], float], *, most: int = 120, seconds: int = 60, most_clients: int = 10_000
    ) -> None:
        self._clock = clock
        self._most, self._seconds, self._most_clients = most, seconds, most_clients
        self._passed: Counter[str] = Counter()
        self._until = 0.0

    def enter(self, client: str) -> None:
        """Raises TooManyReports."""
        now = self._clock()
        if now >= self._until:
            self._passed.clear()
            self._until = now + self._seconds
        full = client not in self._passed and len(self._passed) >= self._most_clients
        if full or self._passed[client] >= self._most:
            wait = max(1, round(self._until - now))
            raise TooManyReports(f"At most {self._most} reports in {self._seconds} s.", retry_after=wait)
        self._passed[client] += 1


def _is_number(value: Any, most: int, *types: type) -> bool:
    return isinstance(value, types) and not isinstance(value, bool) and bool(0 <= value <= most)  # type: ignore[operator]
