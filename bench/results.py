"""What was measured, and how it stands to the targets: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.stats import interval, ratios

OURS = "Magic"


@dataclass(frozen=True)
class Verdict:
    """A target, what came out (the median over the rounds and its 95 % interval), and whether it is met."""

    target: str
    value: float
    low: float
    high: float
    met: bool


@dataclass
class Row:
    """One line of the issue's table: the samples of each contender, a value a round, and the verdicts on them."""

    name: str
    title: str
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By contender and metric; a metric's name ends with its unit."""
    verdicts: list[Verdict] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    measured: str = ""
    """When, of which revision, in how many rounds."""

    def add(self, contender: str, metric: str, value: float) -> None:
        """A sample of this round."""
        self.samples.setdefault(contender, {}).setdefault(metric, []).append(value)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Row:
        """A row of ``results.json``."""
        return cls(**{**stored, "verdicts": [Verdict(**verdict) for verdict in stored["verdicts"]]})

    def values(self, contender: str, metric: str) -> list[float]:
        """The samples of all rounds; none where the contender is missing."""
        return self.samples.get(contender, {}).get(metric, [])

    def median(self, contender: str, metric: str) -> float:
        """The median over the rounds."""
        return median(self.values(contender, metric))

    def judge(
        self, target: str, values: list[float], *, at_least: float | None = None, at_most: float | None = None
    ) -> None:
        """Hold the samples against a target."""
        if not values:
            return
        low, high = interval(values)
        value = median(values)
        met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        self.verdicts.append(Verdict(target, value, low, high, met))

    def judge_ratio(
        self,
        target: str,
        ours: tuple[str, str],
        theirs: tuple[str, str],
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Hold the ratio of two (contender, metric) against a target, round by round."""
        mine, other = self.values(*ours), self.values(*theirs)
        if other and not any(other):
            self.notes.append(f"{theirs[0]} did nothing in any round: {theirs[1]}")
        elif mine and other:
            self.judge(target, ratios(mine, other), at_least=at_least, at_most=at_most)
