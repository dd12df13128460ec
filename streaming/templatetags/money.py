"""Amounts in templates."""

from __future__ import annotations

from django import template

from streaming.events import usd

register = template.Library()


@register.filter
def dollars(pico: int | None) -> str:
    """Pico-dollars as USD: two digits from a dollar on, else as many as matter."""
    amount = usd(pico)
    if amount is None:
        return "unknown"
    return f"{amount:.2f}" if amount >= 1 or not amount else f"{float(amount):.3g}"
