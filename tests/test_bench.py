"""The benchmark runs: the load client counts right, a row comes out. No figures are asserted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import machine, report
from bench.load import Load, post
from bench.results import OURS, Row
from bench.stats import interval
from bench.upstream import MODEL, Upstream, prompt
from tests.databases import ROOT, skip
from tests.redis_server import BINARY, NO_REDIS


@pytest.fixture(autouse=True)
def _needs() -> None:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        skip("no C compiler; the load of the benchmark needs one (Debian: apt-get install gcc)")
    if len(os.sched_getaffinity(0)) < 2:
        skip("one core; the benchmark needs two")


def test_the_load_counts_every_event_of_the_upstream(tmp_path: Path) -> None:
    cores = machine.cores()
    upstream = Upstream(cores.load, tmp_path)
    try:
        asked = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": ""}]}
        for batch in (1, 64):
            text = prompt(chunks=300, batch=batch, stamped=1)
            request = post("/v1/chat/completions", {**asked, "messages": [{"role": "user", "content": text}]})
            seen = Load(cores.load, tmp_path).requests(upstream, [request] * 20, at_once=5, stamped=True).complete()
            # Besides the deltas: the role, the finish reason, the usage and [DONE].
            assert seen.events == 20 * 304
            assert seen.age is not None
            assert seen.age.count == 20 * 300
    finally:
        upstream.stop()


def test_a_row_runs_and_is_reported(tmp_path: Path) -> None:
    options = ["--quick", "--no-install", "--rounds", "1", "--only", "gateway", "--results", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "bench", *options], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (row,) = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert row["samples"][OURS]["chunks/s per core"][0] > 0
    assert OURS in (tmp_path / "results.md").read_text()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "names",
    [("redis_log", "resume", "rolling"), pytest.param(("across", "scale_out"), marks=pytest.mark.soak)],
    ids=" ".join,
)
def test_the_rows_of_several_processes_run(tmp_path: Path, names: tuple[str, ...]) -> None:
    if BINARY is None:
        skip(NO_REDIS)
    options = ["--quick", "--no-install", "--rounds", "1", "--only", *names, "--results", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "bench", *options], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["name"] for row in rows] == list(names)
    for row in rows:
        assert any(name.startswith(OURS) and values for name, values in row["samples"].items()), row


def test_a_verdict_is_that_of_the_median_and_says_its_interval() -> None:
    row = Row("a", "a row")
    for ours, theirs in ((2, 1), (9, 3), (8, 2)):
        row.add("ours", "events/s", ours)
        row.add("theirs", "events/s", theirs)
    row.judge_ratio("≥ 3 ×", ("ours", "events/s"), ("theirs", "events/s"), at_least=3)
    row.judge_ratio("≥ 9 ×", ("ours", "events/s"), ("missing", "events/s"), at_least=9)
    (verdict,) = row.verdicts
    assert (verdict.value, verdict.met) == (3, True)
    assert 2 <= verdict.low <= 3 <= verdict.high <= 4
    assert "| a row | ≥ 3 × | 3.00" in report.markdown({}, [row])
    assert interval([5]) == (5, 5)


def test_a_part_replaces_its_rows_and_leaves_the_others_of_the_same_machine(tmp_path: Path) -> None:
    def named(*names: str, measured: str) -> list[Row]:
        return [Row(name, name, measured=measured) for name in names]

    order = ["a", "b", "c"]
    report.write(tmp_path, {"processor": "here"}, named("a", "b", measured="first"), order)
    text = report.write(tmp_path, {"processor": "here"}, named("c", "a", measured="then"), order)
    rows = [Row.from_json(row) for row in json.loads((tmp_path / "results.json").read_text())["rows"]]
    assert [(row.name, row.measured) for row in rows] == [("a", "then"), ("b", "first"), ("c", "then")]
    assert text.count("Measured then.") == 2
    report.write(tmp_path, {"processor": "elsewhere"}, named("b", measured="last"), order)
    assert [row["name"] for row in json.loads((tmp_path / "results.json").read_text())["rows"]] == ["b"]
