"""``python -m bench``: run the rows, print the table, keep the results. See docs/PERFORMANCE.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import machine, report
from bench.environment import HERE, peers
from bench.load import Load
from bench.results import Row
from bench.rows import ROWS
from bench.setting import Setting
from streaming.version import revision

ROUNDS = 7


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; answers how many rows broke."""
    asked = _parse(arguments)
    machine.raise_file_limit()
    cores = machine.cores()
    facts = machine.describe()
    found = peers(install=not asked.no_install)
    os.sched_setaffinity(0, {cores.load})
    rows, broken = [], 0
    # On the disk of the project, not in /tmp: what a commit costs is part of it.
    with tempfile.TemporaryDirectory(prefix="work-", dir=HERE) as work:
        for name in asked.only or ROWS:
            started = time.monotonic()
            row = Row(name, ROWS[name].TITLE, measured=_measured(asked.rounds))
            rows.append(row)
            try:
                with tempfile.TemporaryDirectory(dir=work) as text, ExitStack() as running:
                    folder = Path(text)
                    load = Load(cores.load, folder)
                    setting = Setting(cores, load, found, folder, asked.rounds, asked.quick, running)
                    ROWS[name].measure(setting, row)
            except Exception as error:
                broken += 1
                row.notes.append(f"**broke**: {type(error).__name__}: {str(error)[-500:]}")
            ROWS[name].judge(row)
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(report.write(asked.results, facts, rows, list(ROWS)))
    return broken


def _measured(rounds: int) -> str:
    now = time.strftime("on %Y-%m-%d at %H:%M UTC", time.gmtime())
    load = os.getloadavg()[0]
    return f"{now}, revision {revision()}, {rounds} rounds; load average at the start {load:.1f}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of each row (default {ROUNDS})")
    parser.add_argument("--only", nargs="+", choices=list(ROWS), metavar="ROW", help=f"of: {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="little work: only shows that it runs")
    parser.add_argument("--no-install", action="store_true", help="leave out the peers that are not installed")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the results are kept")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
