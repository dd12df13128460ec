"""``python -m tests.rig --seed 1 --streams 1000 --minutes 10 --fault-every 10``; needs root."""

from __future__ import annotations

import argparse
import sys

from tests.rig.faults import IN_NAMESPACES
from tests.rig.load import Shape
from tests.rig.machines import folder_for_all, in_namespaces
from tests.rig.run import Plan, run


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run it and print what came of it; where a promise was broken, the logs stay."""
    parser = argparse.ArgumentParser(prog="python -m tests.rig", description="The service on five machines, harmed.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--streams", type=int, default=1000, help="how many are live at a time")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--fault-every", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--delay-ms", type=int, default=1000, help="between two deltas of a stream")
    parser.add_argument("--longest", type=float, default=120, metavar="SECONDS", help="the longest answer")
    parser.add_argument("--producers", choices=("workers", "inline"), default="workers")
    parser.add_argument("--only", default="", help="faults whose names begin with this")
    options = parser.parse_args()
    shape = Shape(options.streams, (min(10.0, options.longest), options.longest), options.delay_ms)
    faults = [fault for fault in IN_NAMESPACES if fault.name.startswith(options.only)]
    plan = Plan(options.seed, shape, options.minutes * 60, options.fault_every, faults)
    with folder_for_all() as folder, in_namespaces(folder, options.producers) as machines:
        say(f"logs: {folder}")
        verdict = run(machines, plan, say)
        for name, value in verdict.figures.items():
            say(f"{name}: {value}")
        verdict.check()


if __name__ == "__main__":
    main()
