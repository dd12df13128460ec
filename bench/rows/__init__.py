"""The rows of the table, each a module of its own; in the order in which they are run."""

from __future__ import annotations

from typing import Protocol

from bench.results import Row
from bench.rows import (
    across,
    at_rest,
    fanout,
    gateway,
    growth,
    latency,
    load_alone,
    open_readers,
    redis_log,
    replay,
    resume,
    rolling,
    scale_out,
    slow_readers,
    starts,
)
from bench.setting import Setting


class RowModule(Protocol):
    """What a module of this package has."""

    TITLE: str

    def measure(self, setting: Setting, row: Row) -> None:
        """Fill in the samples of all rounds."""

    def judge(self, row: Row) -> None:
        """Hold them against the targets."""


ROWS: dict[str, RowModule] = {
    "load_alone": load_alone,
    "fanout": fanout,
    "replay": replay,
    "gateway": gateway,
    "latency": latency,
    "open_readers": open_readers,
    "slow_readers": slow_readers,
    "starts": starts,
    "at_rest": at_rest,
    "growth": growth,
    "redis_log": redis_log,
    "across": across,
    "resume": resume,
    "scale_out": scale_out,
    "rolling": rolling,
}
