"""Prices from the offline price list: exact, by date and tier, and None where not known."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version

import pytest

from streaming.pricing import Prices, Usage, cost
from streaming.providers.catalogue import catalogue_prices, context_window, is_current, is_listed

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SOURCE = f"genai-prices {version('genai-prices')}"


def test_a_listed_model_has_exact_prices_in_pico_dollars() -> None:
    assert catalogue_prices("openai", "gpt-4o-mini", NOW) == Prices(150_000, 600_000, 75_000, 150_000, SOURCE)


def test_a_dated_name_is_priced_as_its_model() -> None:
    assert catalogue_prices("openai", "gpt-4o-mini-2024-07-18", NOW) == catalogue_prices("openai", "gpt-4o-mini", NOW)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "llama3.2"),
        ("openai", "gpt-99"),
        ("openai", ""),
        ("nobody", "gpt-4o-mini"),
        ("openai", "whisper-1"),
        ("openai", "text-embedding-3-small"),
        ("openai", "omni-moderation-latest"),
    ],
)
def test_what_is_not_listed_has_no_price(provider: str, model: str) -> None:
    assert catalogue_prices(provider, model, NOW) is None


def test_prices_are_those_of_the_day() -> None:
    before = catalogue_prices("openai", "o3", datetime(2025, 6, 9, 23, tzinfo=UTC))
    after = catalogue_prices("openai", "o3", datetime(2025, 6, 10, 1, tzinfo=UTC))
    assert before is not None and after is not None
    assert (before.input, before.output) == (10_000_000, 40_000_000)
    assert (after.input, after.output) == (2_000_000, 8_000_000)


def test_long_prompts_are_priced_by_their_tier() -> None:
    base = catalogue_prices("openai", "gpt-6-luna", NOW)
    at_the_edge = catalogue_prices("openai", "gpt-6-luna", NOW, prompt_tokens=272_000)
    beyond = catalogue_prices("openai", "gpt-6-luna", NOW, prompt_tokens=272_001)
    assert base == at_the_edge == Prices(100_000, 500_000, 10_000, 125_000, SOURCE)
    assert beyond == Prices(200_000, 750_000, 20_000, 250_000, SOURCE)


def test_a_call_costs_what_the_price_list_itself_says() -> None:
    prices = catalogue_prices("openai", "gpt-4.1-mini", NOW)
    assert prices is not None
    usage = Usage(prompt_tokens=1000, completion_tokens=200, cached_tokens=400)
    assert cost(usage, prices) == 600 * 400_000 + 400 * 100_000 + 200 * 1_600_000


def test_context_windows() -> None:
    assert context_window("openai", "gpt-4o-mini") == 128_000
    assert context_window("openai", "llama3.2") is None


def test_which_names_are_a_providers() -> None:
    assert is_listed("openai", "gpt-4o-mini") and is_listed("openai", "gpt-99") and is_listed("openai", "o3")
    assert not any(is_listed("openai", name) for name in ("demo", "claude-sonnet-4", "llama3.2", "whisper-1", ""))
    assert is_current("openai", "gpt-6-luna") and not is_current("openai", "gpt-99")


def test_reading_prices_starts_no_refresh() -> None:
    code = (
        "import sys, threading; from datetime import datetime;"
        "from streaming.providers.catalogue import catalogue_prices;"
        "catalogue_prices('openai', 'gpt-4o', datetime.max);"
        "sys.exit(threading.active_count() != 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
