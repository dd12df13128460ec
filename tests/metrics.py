"""Reading ``/metrics`` in tests."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

WAIT_SECONDS = 30


class Metrics:
    """What a server shows at one time: ``value(name, label="…")`` of one series, 0 where there is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        families = text_string_to_metric_families(text)
        self._samples = [sample for family in families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels, and maybe more."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == f"streaming_{name}" and labels.items() <= sample.labels.items()
        )

    def labels(self) -> set[str]:
        """Every value of every label but the buckets'."""
        return {value for sample in self._samples for name, value in sample.labels.items() if name != "le"}


def read(url: str) -> Metrics:
    """The metrics of the server at ``url``."""
    answer = httpx.get(f"{url}/metrics", timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    return Metrics(answer.text)


def wait_until(url: str, holds: Callable[[Metrics], bool]) -> Metrics:
    """The first metrics for which ``holds``."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds(seen := read(url)):
        assert time.monotonic() < deadline, seen.text
        time.sleep(0.1)
    return seen
