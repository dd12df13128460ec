"""Filters that ask an index and nothing else, however many rows there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

MOST_VALUES = 100
"""A filter offers no more than these."""


class ValueFilter(admin.SimpleListFilter):
    """The values that an indexed column has. Each is found by one look into the index, not by reading all rows."""

    column: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = model_admin.model._default_manager.order_by()
        return [(value, value) for value in distinct(rows, self.column)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.value() is None else queryset.filter(**{self.column: self.value()})


def value_filter(name: str) -> type[ValueFilter]:
    """A ValueFilter of one column."""
    members = {"column": name, "parameter_name": name, "title": name.replace("_", " ")}
    return type(f"{name.title()}Filter", (ValueFilter,), members)


def distinct(rows: QuerySet[Any], column: str, most: int = MOST_VALUES) -> Iterator[str]:
    """The values of an indexed column, in order, but the empty one."""
    value = ""
    for _ in range(most):
        following = rows.filter(**{f"{column}__gt": value}).order_by(column).values_list(column, flat=True).first()
        if following is None:
            return
        yield (value := following)


class StartFilter(admin.SimpleListFilter):
    """Years, then the months of one, then the days: ``started=2026-11``. UTC."""

    title = "start (UTC)"
    parameter_name = "started"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        starts = model_admin.model._default_manager.order_by("created_at").values_list("created_at", flat=True)
        # Two questions: SQLite would answer one for both by reading all rows.
        first, last = starts.first(), starts.last()
        if first is None or last is None:
            return []
        chosen = _parse(request.GET.get(self.parameter_name, ""))
        first, last = first.astimezone(UTC), last.astimezone(UTC)
        return [(name, name) for name in sorted(_offered(chosen, first, last), reverse=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not (chosen := _parse(self.value() or "")):
            return queryset
        since, until = _span(chosen)
        return queryset.filter(created_at__gte=since, created_at__lt=until)


def _offered(chosen: tuple[int, ...], first: datetime, last: datetime) -> Iterator[str]:
    """The years; of a chosen one, the months; of a chosen month, the days. As far as there are streams."""
    for year in range(first.year, last.year + 1):
        yield f"{year}"
    if chosen:
        for month in range(1, 13):
            if _meets((chosen[0], month), first, last):
                yield f"{chosen[0]}-{month:02}"
    if len(chosen) > 1:
        for day in range(1, 32):
            if _meets((*chosen[:2], day), first, last):
                yield f"{chosen[0]}-{chosen[1]:02}-{day:02}"


def _meets(chosen: tuple[int, ...], first: datetime, last: datetime) -> bool:
    try:
        since, until = _span(chosen)
    except ValueError:
        return False  # no such day
    return since <= last and until > first


def _span(chosen: tuple[int, ...]) -> tuple[datetime, datetime]:
    """From the beginning of a year, month or day until its end. Raises ValueError where there is no such."""
    year, month, day = (*chosen, 1, 1)[:3]
    since = datetime(year, month, day, tzinfo=UTC)
    if len(chosen) == 1:
        return since, since.replace(year=year + 1)
    if len(chosen) == 2:
        return since, since.replace(year=year + month // 12, month=month % 12 + 1)
    return since, datetime.fromtimestamp(since.timestamp() + 24 * 3600, UTC)


def _parse(text: str) -> tuple[int, ...]:
    """``2026-11`` as (2026, 11); empty for what is no date."""
    parts = text.split("-")
    if len(parts) > 3 or not all(part.isascii() and part.isdecimal() and len(part) <= 4 for part in parts):
        return ()
    chosen = tuple(int(part) for part in parts)
    try:
        _span(chosen)
    except ValueError:
        return ()
    return chosen
