"""The price list that comes with the genai-prices package: unit prices and context windows by name.

Only the data inside the wheel is read; the package's own network refresh is never started. What the
list does not know is None, never 0.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import lru_cache

import genai_prices
from genai_prices.data import providers as _providers
from genai_prices.types import ModelInfo, Provider, TieredPrices

from streaming.pricing import Prices

SOURCE = f"genai-prices {genai_prices.__version__}"
"""``Prices.source`` of every price from here."""

_PROVIDERS: dict[str, Provider] = {provider.id: provider for provider in _providers}


def catalogue_prices(provider: str, model: str, at: datetime, *, prompt_tokens: int = 0) -> Prices | None:
    """What ``model`` of ``provider`` cost per token at ``at``; None where the list has no price for it.

    Models are matched by name alone, dated names and aliases included, so a compatible server on
    another host is priced as the original is. ``prompt_tokens`` is the expected size of the prompt: it
    chooses the tier of models whose long prompts cost more; by default the base tier.
    """
    info = _find(provider, model)
    if info is None or not info.prices:
        return None
    listed = info.get_prices(at)
    input_usd = _usd(listed.input_mtok, prompt_tokens)
    output_usd = _usd(listed.output_mtok, prompt_tokens)
    if input_usd is None or output_usd is None:
        return None
    return Prices.per_million(
        input_usd,
        output_usd,
        _usd(listed.cache_read_mtok, prompt_tokens),
        _usd(listed.cache_write_mtok, prompt_tokens),
        source=SOURCE,
    )


def context_window(provider: str, model: str) -> int | None:
    """The most tokens that ``model`` takes in; None where the list does not know."""
    info = _find(provider, model)
    return None if info is None else info.context_window


def is_listed(provider: str, model: str) -> bool:
    """Whether the list takes ``model`` for a text model of ``provider``.

    True also of names that only look like the provider's own (``gpt-99``), whose price is not known;
    false of those listed without a price per text token, such as speech models.
    """
    info = _find(provider, model)
    if info is not None:
        return catalogue_prices(provider, model, datetime.max) is not None
    listed = _PROVIDERS.get(provider)
    return listed is not None and listed.model_match is not None and listed.model_match.is_match(model)


def is_current(provider: str, model: str) -> bool:
    """True where the list has a price for ``model`` and does not call it deprecated."""
    info = _find(provider, model)
    return info is not None and not info.deprecated and is_listed(provider, model)


@lru_cache(maxsize=1024)
def _find(provider: str, model: str) -> ModelInfo | None:
    listed = _PROVIDERS.get(provider)
    return None if listed is None else listed.find_model(model)


def _usd(price: Decimal | TieredPrices | None, prompt_tokens: int) -> Decimal | None:
    if not isinstance(price, TieredPrices):
        return price
    reached = [tier.price for tier in price.tiers if prompt_tokens > tier.start]
    return reached[-1] if reached else price.base
