"""§6: the snapshot of a stream, live and closed."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

import pytest

from tests.contract.wire import CANARY, Client, fresh
from tests.frames import Frame

FIELDS = {
    *("stream_id", "user_id", "conversation_id", "parent_id", "model", "provider", "status", "message", "text"),
    *("last_event_id", "prompt_tokens", "completion_tokens", "total_tokens", "total_cost", "cost_state", "latency_ms"),
    *("first_token_ms", "created_at", "finished_at", "error_type", "error", "continues"),
}


def text_until(frames: list[Frame], last: int) -> str:
    """The text of the events up to an id."""
    return "".join(f.data["content"] for f in frames[: last + 1] if f.type == "message_chunk")


def check_totals(shown: dict[str, Any], terminal: Frame) -> None:
    """The snapshot says what the terminal event says."""
    for name in ("total_tokens", "total_cost", "latency_ms", "prompt_tokens", "completion_tokens", "cost_state"):
        assert shown[name] == terminal.data[name], name
    assert shown["total_tokens"] == shown["prompt_tokens"] + shown["completion_tokens"]


def test_a_done_stream(either: Client, user: str) -> None:
    asked: dict[str, Any] = {"message": "/count 3 0", "conversation_id": fresh("c"), "temperature": 0.5}
    frames = either.get(user_id=user, stream_id="s1", **asked).frames
    answer = either.snapshot("s1", user_id=user)
    shown = answer.json
    assert answer.header("Cache-Control") == "no-store"
    assert set(shown) >= FIELDS
    assert (shown["stream_id"], shown["user_id"]) == ("s1", user)
    assert (shown["conversation_id"], shown["parent_id"]) == (asked["conversation_id"], None)
    assert (shown["model"], shown["provider"], shown["status"]) == ("demo", "demo", "done")
    assert (shown["message"], shown["text"], shown["last_event_id"]) == ("/count 3 0", "1 2 3 ", 3)
    assert (shown["error_type"], shown["error"]) == (None, None)
    assert shown["cost_state"] == "provider"
    assert isinstance(shown["first_token_ms"], int)
    created, finished = (datetime.fromisoformat(shown[name]) for name in ("created_at", "finished_at"))
    assert created.utcoffset() is not None
    assert created <= finished
    check_totals(shown, frames[-1])


def test_a_failed_stream_keeps_what_it_said(anyone: Client, user: str) -> None:
    frames = anyone.get(user_id=user, stream_id="s1", message="/fail after 3 chunks").frames
    shown = anyone.snapshot("s1", user_id=user).json
    assert shown["status"] == "error"
    assert (shown["text"], shown["last_event_id"]) == ("1 2 3 ", 3)
    assert (shown["error_type"], shown["error"]) == (frames[-1].data["error_type"], frames[-1].data["error"])
    assert shown["finished_at"] is not None
    check_totals(shown, frames[-1])


def test_a_live_stream_is_pending(either: Client, user: str) -> None:
    either.begin(user_id=user, stream_id="s1", message=f"/sleep 60 {CANARY}")
    shown = either.begin(user_id=user, stream_id="s2", message="/sleep 60").json
    for live in (shown, either.snapshot("s2", user_id=user).json):
        assert live["status"] in {"queued", "streaming"}
        assert (live["cost_state"], live["total_cost"]) == ("pending", None)
        assert (live["text"], live["last_event_id"]) == ("", -1)
        assert (live["finished_at"], live["latency_ms"], live["first_token_ms"]) == (None, None, None)
        assert (live["error_type"], live["error"]) == (None, None)


def test_text_and_last_event_id_agree_while_it_is_live(either: Client, user: str) -> None:
    either.begin(user_id=user, stream_id="s1", message="/count 1000000 800")
    live: list[dict[str, Any]] = []
    while len(live) < 20:
        shown = either.snapshot("s1", user_id=user).json
        if shown["last_event_id"] > (live[-1]["last_event_id"] if live else -1):
            live.append(shown)
    assert either.send("DELETE", f"/api/v1/stream/s1?user_id={user}").status == 200
    ended = either.snapshot("s1", user_id=user).json
    frames = either.get(user_id=user, stream_id="s1").frames
    for shown in (*live, ended):
        assert shown["text"] == text_until(frames, shown["last_event_id"])
    for shown in live:
        assert (shown["status"], shown["cost_state"], shown["total_cost"]) == ("streaming", "pending", None)
        chunks = [frame.data for frame in frames[: shown["last_event_id"] + 1] if frame.type == "message_chunk"]
        assert shown["completion_tokens"] == sum(chunk["tokens"] for chunk in chunks)
        assert shown["total_tokens"] == shown["prompt_tokens"] + shown["completion_tokens"]
        assert shown["cost_so_far"] == pytest.approx(sum(chunk["cost_usd"] for chunk in chunks))
    assert ended["cost_so_far"] is None
    assert (ended["status"], ended["last_event_id"]) == ("cancelled", len(frames) - 1)


def test_a_reader_that_starts_from_a_snapshot_misses_nothing(either: Client, user: str) -> None:
    either.begin(user_id=user, stream_id="s1", message="/count 60 100")
    while not (shown := either.snapshot("s1", user_id=user).json)["text"]:
        pass
    rest = either.get(user_id=user, stream_id="s1", last_event_id=shown["last_event_id"]).frames
    text = shown["text"] + "".join(f.data["content"] for f in rest if f.type == "message_chunk")
    assert text == "".join(f"{number} " for number in range(1, 61))


def test_a_message_comes_back_as_it_was_sent(anyone: Client, user: str) -> None:
    message = "  /echo \t tabs, \r\n lines, 🌍, \u202eright\u202c, \u2028 and </script> \x01\x7f  "
    anyone.post({"user_id": user, "stream_id": "s1", "message": message})
    assert anyone.snapshot("s1", user_id=user).json["message"] == message


def test_times_are_of_the_stream_not_of_the_request(anyone: Client, user: str) -> None:
    began = time.monotonic()
    anyone.get(user_id=user, stream_id="s1", message="/sleep 0.3")
    most = 1000 * (time.monotonic() - began)
    shown = anyone.snapshot("s1", user_id=user).json
    assert 300 <= shown["first_token_ms"] <= shown["latency_ms"] <= most + 1


def test_an_id_that_cannot_be_is_not_found(either: Client, user: str) -> None:
    for path in ("a%20b", "%00", "%0a", "s%ff", "a" * 129, "%F0%9F%8C%8D", "..", "'", "%27%20OR%201=1"):
        assert either.send("GET", f"/api/v1/streams/{path}?user_id={user}").status == 404


def test_the_answer_to_a_start_has_no_more_and_no_less(anyone: Client, user: str) -> None:
    started = anyone.begin(user_id=user, message="/count 1 0").json
    assert set(started) == set(anyone.snapshot(started["stream_id"], user_id=user).json)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|\+00:00)", started["created_at"])
