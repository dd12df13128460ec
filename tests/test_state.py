"""SSEStreamState: ids, events, totals of one live stream."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.events import EventType, encode, usd
from streaming.pricing import Prices, count_tokens
from streaming.state import SSEStreamState

PRICES = Prices(input=150_000, output=600_000, cached_input=150_000, cache_write=150_000, source="tests")


def test_ids_are_contiguous_from_zero() -> None:
    state = SSEStreamState("s1")
    assert (state.stream_id, state.event_id, state.chunks_sent, state.is_closed) == ("s1", -1, 0, False)
    assert [state.next_event_id() for _ in range(3)] == [0, 1, 2]
    assert state.event_id == 2


def test_a_chunk_counts_its_tokens_and_its_cost() -> None:
    state = SSEStreamState("s1", PRICES)
    event = state.add_chunk("Hello")
    assert event.data == '{"content":"Hello","tokens":1,"cost_usd":6e-07}'
    assert (state.chunks_sent, state.completion_tokens, state.answer_bytes) == (1, 1, 5)


def test_without_a_price_the_cost_is_null() -> None:
    assert json.loads(SSEStreamState("s1").add_chunk("Hello").data)["cost_usd"] is None


def test_nothing_follows_a_terminal_event() -> None:
    state = SSEStreamState("s1")
    state.add(EventType.DONE, "{}")
    assert state.is_closed
    with pytest.raises(ValueError, match="closed"):
        state.add_chunk("late")
    assert state.event_id == 0


@given(st.lists(st.text(min_size=1), max_size=30), st.data())
def test_chunks_after_any_event_are_those_not_forgotten(texts: list[str], data: st.DataObject) -> None:
    state = SSEStreamState("s1")
    events = [state.add_chunk(text) for text in texts]
    forgotten = data.draw(st.integers(-1, len(texts)))
    after = data.draw(st.integers(-1, len(texts)))
    state.forget(forgotten)
    assert state.get_chunks_after(after) == events[max(after, forgotten) + 1 :]
    assert state.pending_bytes == sum(len(event.data) for event in events[forgotten + 1 :])
    assert state.completion_tokens == sum(map(count_tokens, texts))


@given(st.text(st.sampled_from('a "\\\n\0é世😀\ud800'), max_size=6), st.sampled_from([None, 0, 1, 600_000, 10**12]))
def test_a_chunk_is_encoded_as_any_other_event(content: str, price: int | None) -> None:
    prices = None if price is None else Prices(0, price, 0, 0, "tests")
    tokens = count_tokens(content)
    cost = None if price is None else usd(tokens * price)
    chunk = SSEStreamState("s", prices).add_chunk(content)
    assert chunk.data == encode({"content": content, "tokens": tokens, "cost_usd": cost})
