"""The server's rows of the verification report, one test each."""

from __future__ import annotations

import re
import time

import httpx
import pytest

from tests.faults.conftest import HEARTBEAT_SECONDS, PAIRS, NewDatabase, Serve
from tests.faults.records import Records
from tests.faults.wire import Crowd
from tests.frames import connect, read_all, text_of
from tests.servers import Server

STRICT_FRAME = re.compile(
    rb"event: (message_chunk|heartbeat|done|error)\nid: (0|[1-9][0-9]*)\nretry: 10000\ndata: \{[\x20-\x7e]*\}\n\n"
)


def test_event_ids_are_contiguous_from_0(shared: Server, stream_id: str) -> None:
    frames = read_all(shared.url, user_id="u1", stream_id=stream_id, message="/count 200 0")
    assert [frame.event_id for frame in frames] == list(range(201))


def test_the_first_frame_comes_before_the_last_is_produced(shared: Server, stream_id: str) -> None:
    with connect(shared.url, user_id="u1", stream_id=stream_id, message="/count 40000 20") as (_, frames):
        first = next(frames)
        now = shared.snapshot(stream_id)
        assert first.event_id == 0
        assert now["status"] == "streaming"
        assert shared.post(f"/api/v1/stream/{stream_id}/cancel", {"user_id": "u1"}).status_code == 200
        taken = [first, *frames]
        assert len(taken) - 1 > now["last_event_id"] and taken[-1].is_terminal
        assert text_of(taken) == "".join(f"{number} " for number in range(1, len(taken)))


def test_the_headers_and_a_comment_come_before_the_first_event(shared: Server, crowd: Crowd, stream_id: str) -> None:
    tape = crowd.read(shared.url, user_id="u1", stream_id=stream_id, message="/sleep 100")
    crowd.wait_for(lambda: bool(tape.comments))
    assert tape.headers["content-type"] == "text/event-stream"
    assert tape.headers["cache-control"] == "no-cache"
    assert tape.headers["x-accel-buffering"] == "no"
    assert tape.headers["x-stream-id"] == stream_id
    assert "content-encoding" not in tape.headers


def test_heartbeats_with_contiguous_ids_come_while_the_provider_is_silent(shared: Server, stream_id: str) -> None:
    began = time.monotonic()
    frames = read_all(shared.url, user_id="u1", stream_id=stream_id, message="/sleep 1")
    most = (time.monotonic() - began) / HEARTBEAT_SECONDS
    kinds = [frame.type for frame in frames]
    assert 1 <= kinds.count("heartbeat") <= most, "a busy machine may leave some out, and makes none up"
    assert kinds == ["heartbeat"] * kinds.count("heartbeat") + ["message_chunk", "done"]
    assert all(frame.data == {} for frame in frames if frame.type == "heartbeat")
    again = read_all(shared.url, user_id="u1", stream_id=stream_id)
    assert [frame.raw for frame in again] == [frame.raw for frame in frames]


@pytest.mark.parametrize(
    ("header", "parameter", "first"),
    [("0", None, 1), (None, 0, 1), ("5", None, 6), (None, 5, 6), ("5", 7, 8), ("7", 5, 8), ("0", 0, 1), (None, -1, 0)],
)
def test_resume_follows_the_larger_of_header_and_parameter_and_0_is_a_real_value(
    shared: Server, header: str | None, parameter: int | None, first: int
) -> None:
    shared.post("/api/v1/stream", {"user_id": "u1", "stream_id": "resumed", "message": "/count 10 0"})
    whole = read_all(shared.url, user_id="u1", stream_id="resumed")
    headers = None if header is None else {"Last-Event-ID": header}
    asked = {} if parameter is None else {"last_event_id": parameter}
    with connect(shared.url, headers, user_id="u1", stream_id="resumed", **asked) as (_, frames):
        assert [frame.raw for frame in frames] == [frame.raw for frame in whole[first:]]


def test_a_resume_after_the_terminal_event_is_204_and_beyond_it_409(shared: Server, stream_id: str) -> None:
    read_all(shared.url, user_id="u1", stream_id=stream_id, message="/count 3 0")
    assert shared.get("/api/v1/stream", user_id="u1", stream_id=stream_id, last_event_id=3).status_code == 204
    ahead = shared.get("/api/v1/stream", user_id="u1", stream_id=stream_id, last_event_id=4)
    assert (ahead.status_code, ahead.json()["error_type"], ahead.json()["latest_event_id"]) == (409, "ahead_of_log", 3)


@pytest.mark.parametrize(("kind", "database"), PAIRS)
def test_a_replay_after_a_restart_is_byte_for_byte_the_same(
    new_database: NewDatabase, serve: Serve, kind: str, database: str
) -> None:
    server = serve(new_database(database), kind=kind)
    first = {
        stream_id: read_all(server.url, user_id="u1", stream_id=stream_id, message=message)
        for stream_id, message in {"a": "/markdown", "b": "/count 100 0", "c": "/fail after 3 chunks"}.items()
    }
    server.kill()
    server.start()
    for stream_id, frames in first.items():
        again = read_all(server.url, user_id="u1", stream_id=stream_id)
        assert [frame.raw for frame in again] == [frame.raw for frame in frames]


def test_a_provider_s_failure_is_an_error_event_after_what_was_said(shared: Server, stream_id: str) -> None:
    frames = read_all(shared.url, user_id="u1", stream_id=stream_id, message="/fail after 3 chunks")
    assert [frame.type for frame in frames] == ["message_chunk"] * 3 + ["error"]
    data = frames[-1].data
    assert (data["error_type"], data["retryable"], data["cost_state"]) == ("provider_error", True, "estimated")
    assert data["error"].endswith(".")
    assert "finish_reason" not in data
    assert data["total_tokens"] == data["prompt_tokens"] + data["completion_tokens"]
    assert (data["completion_tokens"], data["latency_ms"] >= 0) == (3, True)


def test_the_cost_on_done_is_the_ledger_s(database_url: str, serve: Serve) -> None:
    server = serve(database_url)
    frames = read_all(server.url, user_id="u1", stream_id="s1", message="/count 100 0")
    done, cost = frames[-1].data, Records(database_url).cost("s1")
    assert (done["cost_state"], cost.state, cost.settled) == ("provider", "provider", True)
    assert (done["prompt_tokens"], done["completion_tokens"]) == (cost.prompt_tokens, cost.completion_tokens)
    assert done["total_tokens"] == cost.prompt_tokens + cost.completion_tokens
    assert cost.total_pico_usd == cost.price_of_counts == cost.prompt_tokens * 150_000 + 100 * 600_000
    assert done["total_cost"] == cost.total_pico_usd / 10**12
    assert server.snapshot("s1")["total_cost"] == done["total_cost"]
    assert sum(frame.data["cost_usd"] for frame in frames[:-1]) == pytest.approx(100 * 600_000 / 10**12)


def test_every_frame_has_exactly_the_four_lines_of_the_contract(shared: Server, stream_id: str) -> None:
    with httpx.stream(
        "GET",
        f"{shared.url}/api/v1/stream",
        params={"user_id": "u1", "stream_id": stream_id, "message": "/markdown"},
        trust_env=False,
        timeout=60,
    ) as response:
        body = b"".join(response.iter_raw())
    opening, *blocks = body.split(b"\n\n")
    assert opening.startswith(b": ")
    assert blocks.pop() == b""
    frames = [block + b"\n\n" for block in blocks if not block.startswith(b":")]
    assert len(frames) > 50
    assert all(STRICT_FRAME.fullmatch(frame) for frame in frames)
    assert b"\r" not in body


def test_generation_goes_on_when_the_reader_leaves(shared: Server, crowd: Crowd, stream_id: str) -> None:
    tape = crowd.read(shared.url, user_id="u1", stream_id=stream_id, message="/count 40 40")
    crowd.wait_for_frames(3, tape)
    crowd.leave(tape)
    whole = read_all(shared.url, user_id="u1", stream_id=stream_id)
    assert (whole[-1].type, len(whole)) == ("done", 41)
