"""What the pages of the admin have in common: nothing is changed, nothing is counted to its end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from streaming.events import usd
from streaming.pricing import usd_per_million

MOST_LISTED = 10_000
"""Rows that a list has pages for; what is older is found by search, filter and date."""


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # generic for mypy only
    """Counts no further than it shows, so that a list of a million rows costs what its first page costs."""

    object_list: QuerySet[Any]

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[:MOST_LISTED].count()


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy only
    """Records of what happened: looked at, never changed."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def dollars(pico: int | None) -> str:
    """An amount for people: all digits that matter, ``unknown`` where there is none."""
    amount = usd(pico)
    return "unknown" if amount is None else f"{amount.normalize():f}"


def per_million(pico: int | None) -> Decimal | None:
    """A unit price in USD per million tokens."""
    return None if pico is None else usd_per_million(pico).normalize()


def seconds(ms: int | None) -> str:
    """Milliseconds as seconds, for people."""
    return "–" if ms is None else f"{ms / 1000:.2f} s"
