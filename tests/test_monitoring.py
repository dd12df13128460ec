"""The alert rules, the dashboard and the documentation speak of metrics that there are, and leave none out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from streaming.metrics import REGISTRY
from tests.databases import ROOT

FAMILIES = {
    (family.name + "_total" if family.type == "counter" else family.name): family for family in REGISTRY.collect()
}
NAME = re.compile(r"\bstreaming_[a-z_]+")
PARTS = ("_bucket", "_sum", "_count")


def family_of(name: str) -> str:
    """A series' metric."""
    for part in PARTS:
        if name.endswith(part) and name.removesuffix(part) in FAMILIES:
            return name.removesuffix(part)
    return name


def expressions() -> dict[str, str]:
    """Every expression of the rules and of the dashboard, by where it is."""
    rules = yaml.safe_load((ROOT / "ops" / "prometheus-alerts.yml").read_text())["groups"][0]["rules"]
    panels = json.loads((ROOT / "ops" / "grafana-dashboard.json").read_text())["panels"]
    found = {rule["alert"]: rule["expr"] for rule in rules}
    for panel in panels:
        for target in panel.get("targets", ()):
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


@pytest.mark.parametrize(("place", "expression"), expressions().items(), ids=lambda each: str(each)[:40])
def test_an_expression_asks_for_what_there_is(place: str, expression: str) -> None:
    names = NAME.findall(expression)
    assert names or "up{" in expression
    for name in names:
        assert family_of(name) in FAMILIES, f"{place}: {name}"
    assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")


def test_a_bucket_that_a_rule_names_is_there() -> None:
    text = json.dumps(expressions())
    for name, bound in re.findall(r"(streaming_[a-z_]+_bucket)\{le=\\\\?\"([0-9.]+)", text):
        buckets = {sample.labels.get("le") for sample in FAMILIES[family_of(name)].samples}
        assert bound in buckets, f"{name} {bound}"


def test_the_dashboard_shows_and_the_documentation_tells_every_metric() -> None:
    asked = {family_of(name) for expression in expressions().values() for name in NAME.findall(expression)}
    told = (ROOT / "docs" / "OPERATIONS.md").read_text()
    left_out = {"streaming_client_reports_total"}
    for name in FAMILIES:
        assert name in asked | left_out, f"{name} is in no panel"
        assert f"`{name.removeprefix('streaming_')}`" in told, f"{name} is not documented"


def test_panels_have_their_places() -> None:
    panels: list[dict[str, Any]] = json.loads((ROOT / "ops" / "grafana-dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"], p["gridPos"]["w"]) for p in panels]
    assert all(x + w <= 24 for x, _, w in places)
