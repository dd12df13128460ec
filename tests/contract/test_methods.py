"""Refusals of what no route has: methods, headers of any size, JSON of any depth. Never a traceback, never a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.wire import CANARY, CANARY_KEY, JSON, STREAM, Client, client, fresh
from tests.servers import Server

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")
ELSEWHERE = {path: {"GET"} for path in ("/health", "/ready", "/version", "/metrics")}
"""The routes besides the API's own."""


def routes(anyone: Client) -> dict[str, set[str]]:
    """Every path there is, and its methods."""
    described = anyone.get("/api/openapi.json").json["paths"]
    return {path: {method.upper() for method in methods} for path, methods in described.items()} | ELSEWHERE


def test_a_method_that_a_route_does_not_have_is_405_and_names_those_it_has(either: Client) -> None:
    for path, methods in routes(either).items():
        target = path.replace("{stream_id}", "s1").replace("{conversation_id}", "c1")
        for method in METHODS:
            if method in methods or (path in ELSEWHERE and method == "HEAD"):
                continue
            answer = either.send(method, f"{target}?user_id=u1&message={CANARY}")
            assert answer.status == 405, (method, path, answer.status)
            allowed = {name.strip() for name in (answer.header("Allow") or "").split(",")}
            assert methods <= allowed, (method, path, allowed)
            assert CANARY.encode() not in answer.body
            assert method != "HEAD" or answer.body == b""


@pytest.mark.parametrize("path", ["/health", "/ready", "/version"])
def test_a_probe_answers_with_a_slash_at_its_end_as_without(either: Client, path: str) -> None:
    with_slash, without = either.get(f"{path}/"), either.get(path)
    assert (with_slash.status, with_slash.body) == (without.status, without.body)
    assert without.status == 200


@pytest.mark.parametrize("path", ["/magic", "/api/docs", "/metrics"])
def test_a_page_with_a_slash_at_its_end_redirects_to_the_one_without(either: Client, path: str) -> None:
    answer = either.get(f"{path}/")
    assert (answer.status, answer.header("Location")) == (302, path)
    assert either.get(path).status == 200


def nested(depth: int, kind: str) -> bytes:
    """JSON of such a depth, as text: no encoder makes it."""
    opening, closing = {"list": ("[", "]"), "object": ('{"a":', "}")}[kind]
    inner = opening * depth + "1" + closing * depth
    return f'{{"user_id": "u1", "message": {inner}}}'.encode()


@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("depth", [1, 100, 999, 1_001, 30_000, 150_000])
def test_json_of_any_depth_is_400(either: Client, kind: str, depth: int) -> None:
    body = nested(depth, kind)
    for path, method in ((STREAM, "POST"), ("/api/v1/conversations/c1", "PATCH")):
        answer = either.send(method, f"{path}?user_id=u1", headers={"Content-Type": JSON}, body=body)
        assert answer.status == 400, (answer.status, answer.body)


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)
FIELDS = ("user_id", "message", "model", "stream_id", "last_event_id", "conversation_id", "parent_id", "system")


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(name=st.sampled_from([*FIELDS, "temperature", "max_tokens", "title"]), value=JSON_VALUES)
def test_a_value_of_any_shape_is_taken_or_named(daphne: Server, name: str, value: Any) -> None:
    asked = {"user_id": "u1", "message": "/count 1 0", "stream_id": fresh(), **{name: value}}
    body = json.dumps(asked).encode()
    answer = client(daphne).send("POST", STREAM, headers={"Content-Type": JSON, "Accept": JSON}, body=body)
    assert answer.status in {200, 201, 400, 404, 409}, (answer.status, answer.body)
    if answer.status == 400 and "errors" in answer.json and "body" not in answer.errors:
        assert list(answer.errors) == [name]


@pytest.mark.parametrize("size", [100, 4_000, 15_000, 70_000, 1_000_000])
@pytest.mark.parametrize(
    "name", ["X-Request-Id", "Last-Event-ID", "Authorization", "Cookie", "Accept", "Origin", "X-Any"]
)
def test_headers_of_any_size_are_answered_or_cut_off(either: Client, name: str, size: int) -> None:
    """By the service, or by its server, which refuses what is too long for it before we see it."""
    try:
        answer = either.send("GET", f"{STREAM}?user_id=u1&stream_id={fresh()}", headers={name: CANARY_KEY + "1" * size})
    except (OSError, ValueError):
        answer = None
    assert answer is None or 400 <= answer.status < 500, (answer.status, answer.body[:200])
    assert either.get("/health").status == 200
