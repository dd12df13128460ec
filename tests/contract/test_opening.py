"""§3: response headers, the comment that opens a response, the block ``id: -1``; nothing compressed or held back."""

from __future__ import annotations

import re
import time

import pytest

from tests.contract.wire import STREAM, Client, fresh
from tests.frames import text_of

OK = b": ok\n\n"
UNDISPATCHED = b"id: -1\n\n"


def test_the_headers_are_those_of_the_contract(either: Client, user: str) -> None:
    answer = either.send("GET", f"{STREAM}?user_id={user}&message=/count+1+0", headers={"Connection": "keep-alive"})
    assert answer.header("Content-Type") == "text/event-stream"
    assert answer.header("Cache-Control") == "no-cache"
    assert answer.header("Connection") == "keep-alive"
    assert answer.header("X-Accel-Buffering") == "no"
    assert answer.header("X-Request-Id")
    assert answer.header("Content-Length") is None
    assert answer.header("Set-Cookie") is None


def test_http_1_0_is_promised_no_keep_alive(either: Client, user: str) -> None:
    target = f"{STREAM}?user_id={user}&message=/count+2+0"
    answer = either.send("GET", target, headers={"Connection": "close"}, version="1.0")
    assert answer.status == 200
    assert "keep-alive" not in (answer.header("Connection") or "")
    assert text_of(answer.frames) == "1 2 "


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, deflate, br, zstd", "*"])
def test_nothing_is_compressed(either: Client, user: str, encoding: str) -> None:
    answer = either.get(headers={"Accept-Encoding": encoding}, user_id=user, message="/markdown")
    assert answer.header("Content-Encoding") is None
    assert answer.body.startswith(OK)


def test_headers_and_a_comment_leave_before_the_first_token(either: Client, user: str) -> None:
    before = time.monotonic()
    with either.open("GET", f"{STREAM}?user_id={user}&stream_id=s1&message=/sleep+60") as response:
        assert response.status == 200
        assert response.read1() == OK
    assert time.monotonic() - before < 30


def test_each_event_leaves_when_it_is_there(either: Client, user: str) -> None:
    """One, and none for a minute: the first does not wait for the second."""
    with either.open("GET", f"{STREAM}?user_id={user}&stream_id=s1&message=/count+2+0.01") as response:
        while response.readline() != b"id: 0\n":
            pass
        assert either.snapshot("s1", user_id=user).json["status"] == "streaming"
        assert either.send("DELETE", f"{STREAM}/s1?user_id={user}").status == 200
        assert response.read().count(b"event: ") == 1, "the end alone"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_block_that_keeps_a_retry_from_billing_opens_where_the_server_made_the_id(
    either: Client, user: str, method: str
) -> None:
    answer = either.send(method, f"{STREAM}?user_id={user}&message=/count+1+0")
    assert answer.body.startswith(OK + UNDISPATCHED + b"event: message_chunk\nid: 0\n")
    assert answer.body.count(UNDISPATCHED) == 1


def test_no_other_response_has_that_block(either: Client, user: str) -> None:
    name = fresh()
    own = either.get(user_id=user, stream_id=name, message="/count 1 0")
    assert own.body.startswith(OK + b"event: message_chunk\nid: 0\n")
    made = either.get(user_id=user, message="/count 1 0").header("X-Stream-Id")
    for answer in (
        either.get(user_id=user, stream_id=name),
        either.get(user_id=user, stream_id=name, message="/count 1 0"),
        either.get(user_id=user, stream_id=made),
        either.get(user_id=user, stream_id=made, last_event_id=0),
        either.get(user_id=user, stream_id=made, headers={"Last-Event-ID": "-1"}),
    ):
        assert answer.body.startswith(OK)
        assert UNDISPATCHED not in answer.body


def test_a_native_retry_of_a_start_without_an_id_is_refused_and_starts_nothing(either: Client, user: str) -> None:
    """What an EventSource does by itself when its connection breaks: the same URL, with the last id it has seen."""
    target = f"{STREAM}?user_id={user}&message=/count+1+0"
    either.send("GET", target)
    assert either.send("GET", target, headers={"Last-Event-ID": "-1"}).status == 400
    assert either.send("GET", target, headers={"Last-Event-ID": "1"}).status == 400
    assert len(either.get("/api/v1/streams", user_id=user).json["streams"]) == 1


def test_frames_are_as_in_the_contract(either: Client, user: str) -> None:
    body = either.get(user_id=user, stream_id=fresh(), message="/echo Hello").body
    first = b'event: message_chunk\nid: 0\nretry: 10000\ndata: {"content":"Hello","tokens":1,"cost_usd":'
    assert body.startswith(OK + first)
    assert re.fullmatch(rb": ok\n\n(event: \w+\nid: \d+\nretry: 10000\ndata: \{[^\n]*\}\n\n)+", body)


def test_nothing_in_an_answer_can_end_a_frame(anyone: Client, user: str) -> None:
    text = 'a\n\nevent: done\nid: 99\ndata: {}\n\n: b\r\rretry: 1\r\n\u2028\u2029\x85\x0b" \\ \ufeff'
    frames = anyone.post({"user_id": user, "message": f"/echo {text}"}).frames
    assert text_of(frames) == text
    assert [frame.event_id for frame in frames] == list(range(len(frames)))


@pytest.mark.parametrize("sane", ["abc", "a" * 128, "0.9:Z_z-1"])
@pytest.mark.parametrize("path", [f"{STREAM}?user_id=u1", "/api/v1/models", "/api/nothing", "/health"])
def test_a_sane_request_id_is_answered(either: Client, path: str, sane: str) -> None:
    assert either.send("GET", path, headers={"X-Request-Id": sane}).header("X-Request-Id") == sane


@pytest.mark.parametrize("insane", ["", "a" * 129, "a b", "<script>", "\xe9", "a,b", '"'])
@pytest.mark.parametrize("path", [f"{STREAM}?user_id=u1", "/api/v1/models", "/api/nothing", "/health"])
def test_another_request_id_is_made(either: Client, path: str, insane: str) -> None:
    made = either.send("GET", path, headers={"X-Request-Id": insane}).header("X-Request-Id")
    assert made != insane
    assert re.fullmatch("[A-Za-z0-9_.:-]{1,128}", made or "")


def test_the_request_id_is_logged_with_the_start_the_resume_and_the_end(either: Client, user: str) -> None:
    start, resume = fresh("start"), fresh("resume")
    either.get(headers={"X-Request-Id": start}, user_id=user, stream_id="s1", message="/count 1 0")
    either.get(headers={"X-Request-Id": resume}, user_id=user, stream_id="s1", last_event_id=0)
    lines = either.server.log_text().splitlines()
    assert [bool(re.search('"event": "(start|terminal)"', line)) for line in lines if start in line] == [True, True]
    assert ['"event": "resume"' in line for line in lines if resume in line] == [True]
