"""What a prompt would cost to send, by the prices that a call started now is billed at."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.events import usd
from streaming.pricelist import prices_of
from streaming.pricing import Usage, cost, count_tokens
from streaming.providers import registry


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens by our own count, and USD per model that can be used now; None where no price is known.

    Of the prompt alone: how long the answer will be nobody knows.
    """

    tokens: int
    costs: dict[str, float | None]


def estimate(prompt: str) -> Estimate:
    """Asks the database."""
    tokens = count_tokens(prompt)
    models = [model for provider in registry.configured() for model in provider.models()]
    costs: dict[str, float | None] = {}
    for model, prices in zip(models, prices_of(models), strict=True):
        amount = None if prices is None else usd(cost(Usage(prompt_tokens=tokens), prices))
        costs[model.id] = None if amount is None else float(amount)
    return Estimate(tokens, costs)
