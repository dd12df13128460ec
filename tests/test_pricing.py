"""Usage, prices, cost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.pricing import MOST_TOKENS, Prices, Usage, cost, count_tokens, most_cost, usd_per_million

PRICES = Prices.per_million(Decimal("2.5"), Decimal(10), Decimal("1.25"), Decimal("3.125"), source="tests")
COUNTS = st.integers(-(10**12), 10**12)


def test_unit_prices_are_pico_dollars_a_token() -> None:
    assert (PRICES.input, PRICES.output, PRICES.cached_input, PRICES.cache_write) == (
        2_500_000,
        10_000_000,
        1_250_000,
        3_125_000,
    )
    assert usd_per_million(PRICES.input) == Decimal("2.5")


def test_each_kind_of_token_is_priced_once() -> None:
    usage = Usage(
        prompt_tokens=1000, completion_tokens=100, cached_tokens=600, cache_write_tokens=300, reasoning_tokens=40
    )
    assert cost(usage, PRICES) == 100 * 2_500_000 + 600 * 1_250_000 + 300 * 3_125_000 + 100 * 10_000_000


def test_a_missing_cache_price_is_the_input_price() -> None:
    prices = Prices.per_million(Decimal("0.15"), Decimal("0.6"), source="tests")
    assert (prices.cached_input, prices.cache_write) == (150_000, 150_000)


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Prices.per_million(Decimal(-1), Decimal(1), source="tests")


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_usage_that_contradicts_itself_is_bounded(
    prompt: int, completion: int, cached: int, write: int, reason: int
) -> None:
    usage = Usage(prompt, completion, cached, write, reason).bounded()
    assert 0 <= usage.prompt_tokens <= MOST_TOKENS and 0 <= usage.completion_tokens <= MOST_TOKENS
    assert usage.cached_tokens >= 0 and usage.cache_write_tokens >= 0
    assert usage.cached_tokens + usage.cache_write_tokens <= usage.prompt_tokens
    assert 0 <= usage.reasoning_tokens <= usage.completion_tokens
    assert 0 <= cost(usage, PRICES) < 2**63
    assert usage.bounded() == usage


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("Hello", 1), ("x" * 400, 100), ("日本", 2), ("\ud800", 1)]
)
def test_an_estimate_of_tokens(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@given(st.lists(st.text(), min_size=1), st.integers(0, 1000))
def test_no_call_costs_more_than_the_most_that_it_can_cost(texts: list[str], answer: int) -> None:
    """Of a tokenizer that cuts a prompt into single bytes, frames each message, and writes all of it to the cache."""
    tokens = sum(len(text.encode("utf-8", "surrogatepass")) + 8 for text in texts)
    dearest = cost(Usage(tokens, answer, cache_write_tokens=tokens), PRICES)
    assert dearest <= most_cost(sum(map(count_tokens, texts)), len(texts), answer, PRICES)
