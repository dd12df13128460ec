"""The price of a model now: a ``ModelPrice`` row of one's own wins over the catalogue."""

from __future__ import annotations

from django.utils import timezone

from streaming.models import ModelPrice
from streaming.pricing import Prices
from streaming.providers.base import Model


def prices_at(model: Model) -> Prices | None:
    """The unit prices that a call started now is billed at; None where no price is known."""
    rows = ModelPrice.objects.filter(provider=model.provider, model=model.id, starts_at__lte=timezone.now())
    row = rows.order_by("-starts_at").first()
    if row is None:
        return model.prices
    return Prices.per_million(
        row.input_usd,
        row.output_usd,
        row.cached_input_usd,
        row.cache_write_usd,
        source=f"ModelPrice {row.pk}",
    )
