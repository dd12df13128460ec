"""What ``/metrics`` shows: the counts of this process, or of all that share its scoreboard. Does file I/O."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from streaming import scoreboard
from streaming.metrics import REGISTRY

RETIRED = "retired"
"""In place of a process's number: what those that are dead have counted."""


def exposition() -> bytes:
    """The metrics in Prometheus' text format."""
    if folder := scoreboard.joined():
        with scoreboard.locked(folder):
            retire_dead(folder)
            return _sum(folder)
    if chosen := os.environ.get(scoreboard.VARIABLE):
        return _sum(Path(chosen))
    return generate_latest(REGISTRY)


def retire_dead(folder: Path) -> None:
    """Keep the counts of dead processes, in one file for all of them, and forget their gauges.

    So counters do not fall, and files do not pile up, however often processes come and go.
    """
    with scoreboard.dead(folder) as numbers:
        for number in numbers:
            for kind in scoreboard.COUNTS:
                _add(folder / f"{kind}_{number}.db", folder / f"{kind}_{RETIRED}.db")
            for kind in (*scoreboard.COUNTS, *scoreboard.LIVE):
                (folder / f"{kind}_{number}.db").unlink(missing_ok=True)


def _sum(folder: Path) -> bytes:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _add(dead: Path, retired: Path) -> None:
    if not dead.exists():
        return
    scoreboard.reserve(retired)
    sums = MmapedDict(str(retired))  # type: ignore[no-untyped-call]
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(dead)):  # type: ignore[no-untyped-call]
            before, _ = sums.read_value(key)  # type: ignore[no-untyped-call]
            sums.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
    finally:
        sums.close()  # type: ignore[no-untyped-call]
