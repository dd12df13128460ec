"""The price of a model now: a ``ModelPrice`` row of one's own wins over the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from streaming.models import ModelPrice
from streaming.pricing import Prices
from streaming.providers.base import Model


def prices_at(model: Model) -> Prices | None:
    """The unit prices that a call started now is billed at; None where no price is known."""
    return prices_of([model])[0]


def prices_of(models: Sequence[Model]) -> list[Prices | None]:
    """As ``prices_at``, of several models with one query."""
    rows = ModelPrice.objects.filter(starts_at__lte=timezone.now(), model__in={model.id for model in models})
    newest = {(row.provider, row.model): row for row in rows.order_by("starts_at")}
    return [_own(row) if (row := newest.get((model.provider, model.id))) else model.prices for model in models]


def _own(row: ModelPrice) -> Prices:
    return Prices.per_million(
        row.input_usd,
        row.output_usd,
        row.cached_input_usd,
        row.cache_write_usd,
        source=f"ModelPrice {row.pk}",
    )
