"""§7: what a client saw is checked, counted and not kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from streaming import telemetry
from streaming.errors import InvalidRequest, TooManyReports
from tests import databases
from tests.contract.conftest import running
from tests.contract.test_sites import FOREIGN, OWN, said
from tests.contract.wire import CANARY, Client, client
from tests.servers import Server

PATH = "/api/v1/telemetry"
REPORT = {
    "reconnects": 2,
    "duplicates_dropped": 5,
    "stalls": 1,
    "gaps": 0,
    "fresh_copies": 0,
    "connections_opened": 3,
    "connections_failed": 1,
    "time_to_recover_ms": [1200, 31000.5],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite) -> Iterator[Server]:
    """A server of one's own, as it is shipped: others use up what one address may report in a minute."""
    with running(tmp_path_factory, sqlite.new(), STREAM_OPEN_ACCESS="0") as server:
        yield server


@pytest.fixture
def anyone(server: Server) -> Client:
    """Somebody without an identity."""
    return client(server)


def send(someone: Client, body: Any, **headers: str) -> Any:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return someone.send("POST", PATH, headers={"Content-Type": "text/plain;charset=UTF-8", **headers}, body=encoded)


def test_a_report_is_taken_as_a_browser_s_beacon_and_as_json_without_an_identity(anyone: Client) -> None:
    for kind in ("text/plain;charset=UTF-8", "application/json"):
        answer = send(anyone, REPORT, **{"Content-Type": kind})
        assert (answer.status, answer.body) == (204, b"")
        assert answer.header("Cache-Control") == "no-store"


def test_what_is_left_out_is_zero_and_what_is_not_known_is_not_looked_at(anyone: Client) -> None:
    assert send(anyone, {}).status == 204
    assert send(anyone, {"time_to_recover_ms": 900, "of_a_later_version": {"text": CANARY}}).status == 204


@pytest.mark.parametrize("value", [-1, 10_001, 1.5, "3", True, None, [], {}])
def test_a_bad_count_is_refused_by_name(anyone: Client, value: Any) -> None:
    assert set(send(anyone, {"reconnects": value, "stalls": -1}).errors) == {"reconnects", "stalls"}


@pytest.mark.parametrize("value", [-1, [1, -1], ["1"], [True], 86_400_001, [0] * 51, None, {}])
def test_a_bad_time_is_refused_by_name(anyone: Client, value: Any) -> None:
    assert set(send(anyone, {"time_to_recover_ms": value}).errors) == {"time_to_recover_ms"}


@pytest.mark.parametrize("body", [b"", b"[]", b"3", b"{", b"\xff", b'{"stalls": NaN}', b"[" * 5000])
def test_what_is_no_json_object_is_refused(anyone: Client, body: bytes) -> None:
    assert set(send(anyone, body).errors) == {"body"}


def test_a_large_body_another_type_and_another_method_are_refused(anyone: Client) -> None:
    assert send(anyone, b'{"x":"' + b"a" * 8192 + b'"}').status == 413
    assert send(anyone, REPORT, **{"Content-Type": "application/x-www-form-urlencoded"}).status == 415
    assert anyone.get(PATH).status == 405


@pytest.mark.parametrize("headers", FOREIGN)
def test_pages_of_other_sites_report_nothing(anyone: Client, headers: dict[str, str]) -> None:
    assert send(anyone, REPORT, **said(headers, anyone.server)).status == 403


@pytest.mark.parametrize("headers", OWN)
def test_our_own_pages_report(anyone: Client, headers: dict[str, str]) -> None:
    assert send(anyone, REPORT, **said(headers, anyone.server)).status == 204


def test_one_report_too_many_in_a_minute_is_refused_and_says_when_to_come_back() -> None:
    now = 1000.0
    turnstile = telemetry.Turnstile(lambda: now)
    for _ in range(120):
        turnstile.enter("a")
    with pytest.raises(TooManyReports) as refused:
        turnstile.enter("a")
    assert refused.value.retry_after == 60
    turnstile.enter("b")
    now += 60
    turnstile.enter("a")


def test_more_clients_than_are_remembered_are_refused_and_the_known_ones_are_not() -> None:
    turnstile = telemetry.Turnstile(lambda: 0.0, most_clients=2)
    turnstile.enter("a")
    turnstile.enter("b")
    with pytest.raises(TooManyReports):
        turnstile.enter("c")
    turnstile.enter("a")


def test_reports_are_added_up_in_the_metrics(server: Server, anyone: Client) -> None:
    def values() -> dict[str, float]:
        lines = server.get("/metrics").text.splitlines()
        told = (line.rsplit(" ", 1) for line in lines if line.startswith("streaming_client_"))
        return {name: float(value) for name, value in told}

    before = values()
    for _ in range(2):
        assert send(anyone, REPORT).status == 204
    added = {name: value - before[name] for name, value in values().items()}
    expected = {
        "reports_total": 2,
        "reconnects_sum": 4,
        "duplicates_dropped_total": 10,
        "stalls_total": 2,
        "gaps_total": 0,
        "fresh_copies_total": 0,
        "recovery_seconds_count": 4,
        "recovery_seconds_sum": 64.401,
        'connections_total{outcome="opened"}': 6,
        'connections_total{outcome="failed"}': 2,
    }
    assert {name: added[f"streaming_client_{name}"] for name in expected} == pytest.approx(expected)


def test_every_bad_field_is_told_at_once() -> None:
    with pytest.raises(InvalidRequest) as refused:
        telemetry.parse({"gaps": -1, "stalls": "x", "time_to_recover_ms": "y"})
    assert [error["name"] for error in refused.value.extra["errors"]] == ["stalls", "gaps", "time_to_recover_ms"]


def test_the_report_is_described(anyone: Client) -> None:
    operation = anyone.get("/api/openapi.json").json["paths"][PATH]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {"application/json", "text/plain"}
    assert set(content["text/plain"]["schema"]["properties"]) == set(REPORT)
    assert set(operation["responses"]) >= {"204", "400", "403", "413", "415", "429"}
