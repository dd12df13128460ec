"""The service on several machines, under faults that a seed chooses; its history keeps every promise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests import databases
from tests.rig.faults import IN_NAMESPACES, ON_LOOPBACK
from tests.rig.load import Shape
from tests.rig.machines import folder_for_all, in_namespaces, on_loopback
from tests.rig.run import Plan, run

IN_CI = ("kill -9", "paused beyond its lease", "Redis: kill -9", "database closed")


def test_web_processes_workers_and_a_redis_keep_every_promise_under_faults(
    tmp_path: Path, postgresql: databases.PostgreSQL
) -> None:
    url = postgresql.new()
    faults = [fault for fault in ON_LOOPBACK if fault.name in IN_CI]
    plan = Plan(seed=1, shape=Shape(30, (1.0, 4.0), delay_ms=50), seconds=12.5, every=2.5, faults=faults)
    with on_loopback(tmp_path, url) as machines:
        verdict = run(machines, plan)
    postgresql.discard(url)
    verdict.check()
    assert verdict.figures["faults"] == len(IN_CI)


@pytest.mark.soak
def test_a_redis_that_does_not_sync_every_write_is_found_out_by_a_power_cut() -> None:
    """Which no ``kill -9`` does: that the rig would see it if the shipped configuration lost something."""
    need_root()
    faults = [fault for fault in IN_NAMESPACES if fault.name == "Redis: power cut"]
    plan = Plan(seed=1, shape=Shape(20, (10.0, 20.0), delay_ms=100), seconds=12, every=5, faults=faults)
    with folder_for_all() as folder, in_namespaces(folder, appendfsync="everysec") as machines:
        broken = run(machines, plan).broken
    assert any("ahead_of_log" in what for what in broken), broken


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("producers", ["workers", "inline"])
def test_1000_streams_on_five_machines_lose_nothing_in_ten_minutes_of_faults(producers: str) -> None:
    """What ``python -m tests.rig`` does."""
    need_root()
    plan = Plan(seed=1, shape=Shape(1000, (10.0, 120.0)), seconds=600, every=10, faults=IN_NAMESPACES)
    with folder_for_all() as folder, in_namespaces(folder, producers) as machines:
        run(machines, plan).check()


def need_root() -> None:
    if os.geteuid() != 0 or shutil.which("nft") is None:
        databases.skip("needs root and nftables (Debian: apt-get install nftables)")
