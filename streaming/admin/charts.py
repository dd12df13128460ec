"""Plots as geometry, which a template draws as SVG: no script and no inline style, so the strict CSP holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from streaming.admin.base import dollars
from streaming.admin.spending import Slice

WIDTH, HEIGHT = 720, 200
"""Of the plot's area, in the SVG's own units."""
LEFT, BOTTOM, TOP = 64, 24, 10
"""Around it, for the labels of the axes."""
MOST_LABELS = 10
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    """A day: what providers told at the foot, what was estimated above it."""

    x: float
    width: float
    provider_y: float
    provider_height: float
    estimated_y: float
    estimated_height: float
    middle: float
    label: str
    title: str
    is_labelled: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line across the plot, with its amount."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class DayChart:
    """Stacked bars, one a day."""

    bars: list[Bar]
    lines: list[Line]
    view_box: str
    left: int
    right: int
    label_y: float
    summary: str


def day_chart(days: Sequence[Slice]) -> DayChart:
    """The cost of each day. Round amounts on the axis; the highest is at least that of the dearest day."""
    top = _round_up(max((day.total for day in days), default=0) or 1)
    step = WIDTH / max(1, len(days))
    every = math.ceil(len(days) / MOST_LABELS)
    bars = [_bar(day, number, step, top, is_labelled=number % every == 0) for number, day in enumerate(days)]
    lines = [Line(_y(part, 4), f"${dollars(top * part // 4)}") for part in range(5)]
    return DayChart(
        bars=bars,
        lines=lines,
        view_box=f"0 0 {LEFT + WIDTH} {TOP + HEIGHT + BOTTOM}",
        left=LEFT,
        right=LEFT + WIDTH,
        label_y=TOP + HEIGHT + BOTTOM - 6,
        summary=f"Cost by day: {dollars(sum(day.total for day in days))} USD in {len(days)} days",
    )


def _bar(day: Slice, number: int, step: float, top: int, *, is_labelled: bool) -> Bar:
    foot, middle, head = _y(0, top), _y(day.provider, top), _y(day.total, top)
    x = LEFT + number * step
    return Bar(
        x=round(x + step * 0.12, 2),
        width=round(step * 0.76, 2),
        provider_y=middle,
        provider_height=round(foot - middle, 2),
        estimated_y=head,
        estimated_height=round(middle - head, 2),
        middle=round(x + step / 2, 2),
        label=day.name[5:],
        title=f"{day.name}: {dollars(day.total)} USD, of it estimated {dollars(day.estimated)}; {day.streams} streams",
        is_labelled=is_labelled,
    )


def _y(amount: float, top: float) -> float:
    return round(TOP + HEIGHT * (1 - amount / top), 2)


def _round_up(pico: int) -> int:
    """The next amount of one digit or so that is at least this one."""
    scale: int = 10 ** (len(str(pico)) - 1)
    return next(math.ceil(step * scale) for step in STEPS if step * scale >= pico)
