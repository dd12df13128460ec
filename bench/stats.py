"""Medians, and intervals of ratios."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import median

RESAMPLES = 2000
CONFIDENCE = 0.95


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the median: percentile bootstrap over the rounds."""
    if len(values) < 2:
        return values[0], values[0]
    chance = random.Random(seed)
    medians = sorted(median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))
    cut = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return medians[cut], medians[-1 - cut]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round: what drifts on a machine between rounds does not count."""
    return [a / b for a, b in zip(ours, theirs, strict=False) if b]
