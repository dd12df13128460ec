"""The results as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from bench.results import Row
from bench.stats import interval


def markdown(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """All of it."""
    facts = [f"- {name}: {value}" for name, value in machine.items()]
    facts.append("- contenders in turn within each round; medians, with 95 % intervals by bootstrap")
    return "\n".join([*facts, "", *_targets(rows), *(line for row in rows for line in _row(row))])


def _targets(rows: Sequence[Row]) -> list[str]:
    lines = ["| work | to reach | measured | |", "|---|---|---|---|"]
    for row in rows:
        for verdict in row.verdicts:
            spread = f"{number(verdict.value)} ({number(verdict.low)}–{number(verdict.high)})"
            lines.append(f"| {row.title} | {verdict.target} | {spread} | {'met' if verdict.met else '**not met**'} |")
    return [*lines, ""]


def _row(row: Row) -> list[str]:
    metrics = list(dict.fromkeys(metric for samples in row.samples.values() for metric in samples))
    lines = [f"### {row.title}", ""]
    if metrics:
        lines += [f"| | {' | '.join(metrics)} |", "|---" * (len(metrics) + 1) + "|"]
    for contender, samples in row.samples.items():
        cells = [_cell(samples.get(metric)) for metric in metrics]
        lines.append(f"| {contender} | {' | '.join(cells)} |")
    if row.measured:
        lines += ["", f"Measured {row.measured}."]
    lines += ["", *(f"- missing: {missing}" for missing in row.missing), *(f"- {note}" for note in row.notes)]
    return [*lines, ""]


def _cell(values: list[float] | None) -> str:
    if not values:
        return ""
    low, high = interval(values)
    if len(values) == 1 or low == high:
        return number(median(values))
    return f"{number(median(values))} ({number(low)}–{number(high)})"


def number(value: float) -> str:
    """Three digits, or all before the point."""
    size = abs(value)
    if size >= 10_000:
        return f"{value / 1000:,.0f} k"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 or not value else f"{value:.2g}"


def write(folder: Path, machine: Mapping[str, str], rows: Sequence[Row], order: Sequence[str]) -> str:
    """Write ``results.json`` and ``results.md``; answers the latter.

    Rows that were not run now stay as they were, where they are of the same machine; all in ``order``.
    """
    folder.mkdir(exist_ok=True)
    kept = {row.name: row for row in (*_earlier(folder, machine), *rows)}
    rows = [kept[name] for name in order if name in kept]
    text = markdown(machine, rows)
    document = {"machine": dict(machine), "rows": [asdict(row) for row in rows]}
    (folder / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "results.md").write_text(text + "\n")
    return text


def _earlier(folder: Path, machine: Mapping[str, str]) -> list[Row]:
    stored = folder / "results.json"
    document = json.loads(stored.read_text()) if stored.exists() else {}
    return list(map(Row.from_json, document["rows"])) if document.get("machine") == dict(machine) else []
