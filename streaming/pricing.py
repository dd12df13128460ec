"""Usage, prices and cost. Pure; money is integer pico-dollars (10⁻¹² USD) or Decimal, never float."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

PICO_PER_USD = 10**12
MILLION = 10**6
MOST_TOKENS = 10**9
"""More than any call can have; what a provider says beyond it is a mistake."""
BYTES_PER_TOKEN = 4
"""Of ordinary text, by our own count."""
MOST_FRAMING_TOKENS = 16
"""That a message takes besides its text; more than enough, also for what ``count_tokens`` rounds off."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, normalised.

    ``prompt_tokens`` includes cached and cache-written tokens, ``completion_tokens`` includes
    reasoning: the last three are subsets, not additions.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    raw: dict[str, Any] | None = field(default=None, compare=False)
    """The numbers of the provider's own usage, for the record; nothing is computed from it."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def answered_with(self, completion_tokens: int) -> Usage:
        """The same prompt, and an answer of so many tokens by our own count."""
        return Usage(self.prompt_tokens, completion_tokens, self.cached_tokens, self.cache_write_tokens)

    def bounded(self) -> Usage:
        """The same with counts that can be: not negative, at most ``MOST_TOKENS``, subsets within their wholes."""
        prompt, completion = _within(self.prompt_tokens, MOST_TOKENS), _within(self.completion_tokens, MOST_TOKENS)
        cached = _within(self.cached_tokens, prompt)
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=cached,
            cache_write_tokens=_within(self.cache_write_tokens, prompt - cached),
            reasoning_tokens=_within(self.reasoning_tokens, completion),
            raw=self.raw,
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """Unit prices in pico-dollars per token: 1 USD per million tokens is 1,000,000.

    ``source`` says where they are from, e.g. ``genai-prices 0.2.3`` or ``ModelPrice 7``.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    source: str

    @classmethod
    def per_million(
        cls,
        input_usd: Decimal,
        output_usd: Decimal,
        cached_input_usd: Decimal | None = None,
        cache_write_usd: Decimal | None = None,
        *,
        source: str,
    ) -> Prices:
        """From USD per million tokens; a missing cache price is the input price. Refuses negatives (ValueError)."""
        return cls(
            input=_unit(input_usd),
            output=_unit(output_usd),
            cached_input=_unit(input_usd if cached_input_usd is None else cached_input_usd),
            cache_write=_unit(input_usd if cache_write_usd is None else cache_write_usd),
            source=source,
        )


def cost(usage: Usage, prices: Prices) -> int:
    """What a call cost, in pico-dollars: each kind of token is priced once."""
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    written = min(usage.cache_write_tokens, usage.prompt_tokens - cached)
    plain = usage.prompt_tokens - cached - written
    return (
        plain * prices.input
        + cached * prices.cached_input
        + written * prices.cache_write
        + usage.completion_tokens * prices.output
    )


def most_cost(prompt_tokens: int, messages: int, completion_tokens: int, prices: Prices) -> int:
    """The most that a call can cost, in pico-dollars.

    A prompt of so many tokens by ``count_tokens``, in so many messages, has at most one token for each byte of its
    text, and some that frame each message. The answer has at most ``completion_tokens``, reasoning included.
    """
    prompt = prompt_tokens * BYTES_PER_TOKEN + messages * MOST_FRAMING_TOKENS
    dearest = max(prices.input, prices.cached_input, prices.cache_write)
    return prompt * dearest + completion_tokens * prices.output


def count_tokens(text: str) -> int:
    """An estimate of a text's tokens: a quarter of its UTF-8 bytes, at least one unless it is empty."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return max(1, round(size / BYTES_PER_TOKEN)) if size else 0


def usd_per_million(pico_per_token: int) -> Decimal:
    """A unit price as USD per million tokens."""
    return Decimal(pico_per_token) * MILLION / PICO_PER_USD


def _within(count: int, most: int) -> int:
    return max(0, min(count, most))


def _unit(usd_per_million_tokens: Decimal) -> int:
    if usd_per_million_tokens < 0:
        raise ValueError("a price is 0 or more")
    return int((usd_per_million_tokens * PICO_PER_USD / MILLION).to_integral_value())
