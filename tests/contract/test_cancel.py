"""Cancel (§4): its own verb, from any process, at any time, idempotent."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.wire import Client, client, fresh, session
from tests.frames import connect, read_all
from tests.servers import Server
from tests.upstream import Script, Upstream

TOTALS = {"total_tokens", "total_cost", "latency_ms", "prompt_tokens", "completion_tokens", "cost_state"}


def test_a_live_stream_ends_as_cancelled_for_all_its_readers(either: Client, user: str) -> None:
    stream_id = either.begin(user_id=user, message="/count 50000 50").json["stream_id"]
    asked = {"user_id": user, "stream_id": stream_id}
    with connect(either.server.url, **asked) as (_, frames):
        assert next(frames).event_id == 0
        answer = either.send("DELETE", f"/api/v1/stream/{stream_id}?user_id={user}")
        rest = list(frames)
    assert answer.status == 200
    assert (answer.json["status"], answer.json["finish_reason"]) == ("cancelled", "cancelled")
    assert answer.json["last_event_id"] == rest[-1].event_id
    assert rest[-1].type == "done"
    assert rest[-1].data["finish_reason"] == "cancelled"
    assert set(rest[-1].data) == TOTALS | {"finish_reason"}
    assert rest[-1].data["cost_state"] == "estimated"
    assert rest[-1].data["total_cost"] == answer.json["total_cost"] > 0
    again = either.send("DELETE", f"/api/v1/stream/{stream_id}?user_id={user}")
    assert (again.status, again.json) == (200, answer.json)


def test_a_closed_stream_stays_as_it_is(anyone: Client, user: str) -> None:
    stream_id = anyone.begin(user_id=user, message="/echo done").json["stream_id"]
    before = anyone.closed(stream_id, user_id=user)
    answer = anyone.send("DELETE", f"/api/v1/stream/{stream_id}?user_id={user}")
    assert (answer.status, answer.json) == (200, before)
    assert answer.json["status"] == "done"


def test_before_the_first_token(anyone: Client, user: str) -> None:
    stream_id = anyone.begin(user_id=user, message="/sleep 60").json["stream_id"]
    answer = anyone.send("DELETE", f"/api/v1/stream/{stream_id}?user_id={user}")
    assert (answer.status, answer.json["status"], answer.json["text"]) == (200, "cancelled", "")
    assert answer.json["completion_tokens"] == 0


@pytest.mark.parametrize("body", [b"user_id={}", b'{"user_id": "{}"}'])
def test_as_a_post_with_a_body(anyone: Client, user: str, body: bytes) -> None:
    stream_id = anyone.begin(user_id=user, message="/sleep 60").json["stream_id"]
    kind = "application/json" if body.startswith(b"{") else "application/x-www-form-urlencoded"
    sent = body.replace(b"{}", user.encode())
    path = f"/api/v1/stream/{stream_id}/cancel"
    answer = anyone.send("POST", path, headers={"Content-Type": kind}, body=sent)
    assert (answer.status, answer.json["status"]) == (200, "cancelled")


def test_as_a_beacon_of_a_session(guarded: Server) -> None:
    owner, _ = session(guarded)
    stream_id = owner.begin(message="/sleep 60").json["stream_id"]
    headers = {"Content-Type": "text/plain;charset=UTF-8", "Sec-Fetch-Site": "same-origin"}
    answer = owner.send("POST", f"/api/v1/stream/{stream_id}/cancel", headers=headers, body=b"")
    assert (answer.status, answer.json["status"]) == (200, "cancelled")


def test_a_stranger_cancels_nothing(guarded: Server) -> None:
    owner, _ = session(guarded)
    stranger, _ = session(guarded)
    stream_id = owner.begin(message="/sleep 60").json["stream_id"]
    foreign = stranger.send("DELETE", f"/api/v1/stream/{stream_id}")
    unknown = stranger.send("DELETE", f"/api/v1/stream/{fresh()}")
    assert (foreign.status, foreign.body) == (404, unknown.body)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "none"}):
        assert owner.send("DELETE", f"/api/v1/stream/{stream_id}", headers=headers).status == 403
    assert client(guarded).send("DELETE", f"/api/v1/stream/{stream_id}").status == 401
    assert owner.snapshot(stream_id).json["status"] == "streaming"
    assert owner.send("DELETE", f"/api/v1/stream/{stream_id}").status == 200


def test_many_at_once_and_at_the_same_moment_as_done(anyone: Client, user: str) -> None:
    for _ in range(5):
        stream_id = anyone.begin(user_id=user, message="/count 300 0").json["stream_id"]
        with ThreadPoolExecutor(8) as pool:
            path = f"/api/v1/stream/{stream_id}?user_id={user}"
            answers = list(pool.map(lambda _, path=path: anyone.send("DELETE", path), range(8)))
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        frames = read_all(anyone.server.url, user_id=user, stream_id=stream_id)
        assert frames[-1].is_terminal


def test_on_another_process_the_upstream_call_is_closed_within_2_seconds(
    database_url: str, serve: Callable[..., Server]
) -> None:
    with Upstream() as upstream:
        upstream.queue(Script(count=10_000, delay_ms=20))
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url, "STREAM_DEFAULT_MODEL": "gpt-4o-mini"}
        producing, other = serve(database_url, **env), serve(database_url, kind="uvicorn", **env)
        producing.begin("s1", "hello")
        with connect(other.url, user_id="u1", stream_id="s1") as (_, frames):
            next(frames)
            began = time.monotonic()
            answer = client(other).send("DELETE", "/api/v1/stream/s1?user_id=u1")
            upstream.wait_for_end(1)
            assert time.monotonic() - began < 2
            assert list(frames)[-1].data["finish_reason"] == "cancelled"
        assert (answer.status, answer.json["status"]) == (200, "cancelled")
        assert len(upstream.calls) == 1


def test_with_the_producer_dead(sqlite_url: str, serve: Callable[..., Server]) -> None:
    producing, other = (serve(sqlite_url, STREAM_LEASE_SECONDS="6") for _ in range(2))
    producing.begin("s1", "/count 1000 20")
    with connect(producing.url, user_id="u1", stream_id="s1") as (_, frames):
        next(frames)
    producing.kill()
    answer = client(other).send("DELETE", "/api/v1/stream/s1?user_id=u1")
    assert answer.status in (200, 202)
    taken = read_all(other.url, user_id="u1", stream_id="s1")
    assert taken[-1].data["finish_reason"] == "cancelled"
    assert other.snapshot("s1")["status"] == "cancelled"
