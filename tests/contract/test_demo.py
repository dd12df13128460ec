"""§8: the ``demo`` provider; §3 Frames: what its events carry."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.wire import STREAM, Client, client, fresh
from tests.frames import Frame, text_of
from tests.servers import Server

INPUT, OUTPUT = 0.15e-6, 0.60e-6
TOTALS = {"total_tokens", "total_cost", "latency_ms", "prompt_tokens", "completion_tokens", "cost_state"}


def ask(anyone: Client, message: str, **asked: Any) -> list[Frame]:
    """The events of an answer to somebody new; checks what holds for every answer."""
    frames = anyone.post({"user_id": fresh("u"), "stream_id": fresh(), "message": message, **asked}).frames
    assert [frame.event_id for frame in frames] == list(range(len(frames)))
    assert [frame.is_terminal for frame in frames] == [False] * (len(frames) - 1) + [True]
    for frame in frames:
        if frame.type == "message_chunk":
            assert set(frame.data) == {"content", "tokens", "cost_usd"}
            assert isinstance(frame.data["content"], str)
            assert isinstance(frame.data["tokens"], int)
            assert frame.data["cost_usd"] == pytest.approx(frame.data["tokens"] * OUTPUT)
        elif frame.type == "heartbeat":
            assert frame.data == {}
    check_totals(frames)
    return frames


def check_totals(frames: list[Frame]) -> None:
    """The terminal event has all totals, and they are those of the counts and prices."""
    data = frames[-1].data
    assert set(data) >= TOTALS
    assert data["total_tokens"] == data["prompt_tokens"] + data["completion_tokens"]
    assert data["completion_tokens"] == sum(f.data["tokens"] for f in frames if f.type == "message_chunk")
    assert data["total_cost"] == pytest.approx(data["prompt_tokens"] * INPUT + data["completion_tokens"] * OUTPUT)
    assert data["total_cost"] > 0
    assert isinstance(data["latency_ms"], int)


@pytest.mark.parametrize("count", [1, 7, 250])
def test_count_sends_one_event_for_each_number(either: Client, count: int) -> None:
    frames = ask(either, f"/count {count} 0")
    assert [f.data["content"] for f in frames[:-1]] == [f"{number} " for number in range(1, count + 1)]
    assert frames[-1].type == "done"
    assert frames[-1].data["finish_reason"] == "stop"
    assert frames[-1].data["cost_state"] == "provider"


def test_count_keeps_its_speed(anyone: Client) -> None:
    assert ask(anyone, "/count 51 100")[-1].data["latency_ms"] >= 400


@pytest.mark.parametrize(
    "text", ["one two three", "  leading,  double   and trailing  ", "naïve 十二 🌍 \u202ertl\u202c", "a\n\tb"]
)
def test_echo_says_the_text_exactly(either: Client, text: str) -> None:
    frames = ask(either, f"/echo {text}")
    assert text_of(frames) == text
    assert frames[-1].type == "done"


def test_echo_says_it_word_by_word(anyone: Client) -> None:
    assert len(ask(anyone, "/echo one two three")) == 4


def test_markdown_has_every_construct(anyone: Client) -> None:
    text = text_of(ask(anyone, "/markdown"))
    for construct in ("# ", "```python", "|---", "> ", "- ", "1. ", "**", "`", "](http", "![", "- [ ]", "~~"):
        assert construct in text, construct
    assert max(map(len, text.splitlines())) > 200
    assert any("\u0590" <= character <= "\u06ff" for character in text)
    assert any(ord(character) > 0x1F000 for character in text)


def test_sleep_says_nothing_for_so_long_and_then_one_chunk(anyone: Client) -> None:
    frames = ask(anyone, "/sleep 0.5")
    assert [f.type for f in frames] == ["message_chunk", "done"]
    assert frames[-1].data["latency_ms"] >= 500


def test_fail_is_a_provider_error(either: Client) -> None:
    frames = ask(either, "/fail")
    assert [f.type for f in frames] == ["error"]


def test_fail_after_n_chunks_keeps_them(either: Client) -> None:
    frames = ask(either, "/fail after 3 chunks")
    assert [f.type for f in frames] == ["message_chunk"] * 3 + ["error"]
    error = frames[-1].data
    assert error["error_type"] == "provider_error"
    assert isinstance(error["retryable"], bool)
    assert isinstance(error["error"], str)
    assert error["error"]
    assert error["cost_state"] == "estimated"
    assert "finish_reason" not in error


@pytest.mark.parametrize("message", ["Hello", "What is this?", "/", "/nothing", "/count", "/count x", "/fail x", "🌍"])
def test_anything_else_is_answered_with_something_worth_reading(anyone: Client, message: str) -> None:
    frames = ask(anyone, message)
    assert frames[-1].type == "done"
    assert len(text_of(frames)) > 100
    assert "\n" in text_of(frames)


@pytest.mark.parametrize("message", ["Hello", "/count 9 0", "/echo a b c", "/markdown", "/fail after 4 chunks"])
def test_the_same_message_gives_the_same_events(daphne: Server, uvicorn: Server, message: str) -> None:
    """To two owners, by two servers, byte for byte, but for the time that it took."""
    one, other = ask(client(daphne), message), ask(client(uvicorn), message)
    assert [frame.raw for frame in one[:-1]] == [frame.raw for frame in other[:-1]]
    totals = [{**frames[-1].data, "latency_ms": 0} for frames in (one, other)]
    assert totals[0] == totals[1]


def test_max_tokens_ends_with_length(anyone: Client) -> None:
    done = ask(anyone, "/count 100 0", max_tokens=10)[-1]
    assert done.data["finish_reason"] == "length"
    assert done.data["completion_tokens"] <= 10


def test_the_prompt_is_counted_with_the_system_prompt(anyone: Client) -> None:
    alone = ask(anyone, "/count 1 0")[-1].data["prompt_tokens"]
    assert ask(anyone, "/count 1 0", system="Be brief, and then some.")[-1].data["prompt_tokens"] > alone > 0


def test_a_stream_goes_on_when_its_reader_leaves(either: Client, user: str) -> None:
    with either.open("GET", f"{STREAM}?user_id={user}&stream_id=s1&message=/count+40+100") as response:
        response.read1()
    assert either.closed("s1", user_id=user)["text"] == "".join(f"{n} " for n in range(1, 41))
