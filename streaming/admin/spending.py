"""What was spent in a time, by day, model, provider, key, user, template; and whether the ledger adds up. Synchronous.

Read day by day through the index of the records' times: a day is a range of it, and needs no function of the database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Abs, Least

from streaming.models import ApiKey, CostRecord, CostState

DAY = timedelta(days=1)
MOST_SHOWN = 20
"""Users, or templates: both are named by who asks, and there may be any number of them."""
NO_TEMPLATE = "no template"


@dataclass
class Slice:
    """A part of the spending. Amounts are in pico-dollars; ``unknown`` counts streams whose price is not known."""

    name: str
    streams: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    provider: int = 0
    """By the provider's own usage."""
    estimated: int = 0
    """By our counts."""
    unknown: int = 0

    @property
    def total(self) -> int:
        return self.provider + self.estimated

    def add(self, row: dict[str, Any]) -> None:
        """Add a group of records of one state."""
        self.streams += row["streams"]
        self.prompt_tokens += row["prompt"]
        self.completion_tokens += row["completion"]
        if row["state"] == CostState.PROVIDER:
            self.provider += int(row["total"])
        elif row["state"] == CostState.ESTIMATED:
            self.estimated += int(row["total"])
        elif row["state"] == CostState.UNKNOWN:
            self.unknown += row["streams"]


@dataclass
class Spending:
    """What was spent; each list is of the same records."""

    total: Slice = field(default_factory=lambda: Slice("all"))
    days: list[Slice] = field(default_factory=list)
    models: dict[str, Slice] = field(default_factory=dict)
    providers: dict[str, Slice] = field(default_factory=dict)
    issuers: dict[str, Slice] = field(default_factory=dict)
    """By who vouches for the user: sessions, open access, each API key."""
    users: list[Slice] = field(default_factory=list)
    """Those who spent most."""
    templates: list[Slice] = field(default_factory=list)
    """Those that cost most, and what was asked without one."""

    def by_cost(self, slices: Iterable[Slice]) -> list[Slice]:
        """The dearest first."""
        return sorted(slices, key=lambda each: (-each.total, -each.streams, each.name))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The ledger against what its counts and unit prices come to; all are 0 where it adds up."""

    difference: int
    """The sum of the differences, each without its sign, in pico-dollars."""
    unsettled: int
    """Closed streams whose record is pending."""

    @property
    def ok(self) -> bool:
        return not (self.difference or self.unsettled)


def spending(last: date, days: int) -> Spending:
    """The spending of ``days`` days, of which ``last`` is the last. UTC, by the start of the streams."""
    found = Spending()
    for number in range(days - 1, -1, -1):
        day = last - number * DAY
        slice_of_day = Slice(f"{day:%Y-%m-%d}")
        for row in _grouped(_with_streams(day, day), "provider", "model", "issuer"):
            _add(found, slice_of_day, row)
        found.days.append(slice_of_day)
    _name_keys(found.issuers)
    records = _with_streams(last - (days - 1) * DAY, last)
    users = _dearest(records, "issuer", "user_id")
    for (issuer, user), each in users.items():
        each.name = f"{user} ({found.issuers[str(issuer)].name})"
    found.users = found.by_cost(users.values())
    found.templates = found.by_cost(_dearest(records, "template").values())
    return found


def reconcile_sums(first: date, last: date) -> Reconciliation:
    """Recompute in the database what the settled records of some days should say."""
    records = records_of(first, last)
    settled = records.filter(total_pico_usd__isnull=False)
    cached = Least("cached_tokens", "prompt_tokens")
    written = Least(F("cache_write_tokens"), F("prompt_tokens") - cached)
    right = (
        (F("prompt_tokens") - cached - written) * F("input_price")
        + cached * F("cached_input_price")
        + written * F("cache_write_price")
        + F("completion_tokens") * F("output_price")
    )
    difference = settled.aggregate(sum=Sum(Abs(F("total_pico_usd") - right), default=0))["sum"]
    unsettled = records.filter(state=CostState.PENDING, stream__head__closed=True).count()
    return Reconciliation(int(difference), unsettled)


def records_of(first: date, last: date) -> QuerySet[CostRecord]:
    """The records of streams that started on these days."""
    since, until = _span(first, last)
    return CostRecord.objects.filter(created_at__gte=since, created_at__lt=until)


def _with_streams(first: date, last: date) -> QuerySet[CostRecord]:
    """As ``records_of``, for joining: their streams' times are the same, and a database told both reads no others."""
    since, until = _span(first, last)
    return records_of(first, last).filter(stream__created_at__gte=since, stream__created_at__lt=until)


def _span(first: date, last: date) -> tuple[datetime, datetime]:
    since, until = (datetime.combine(day, time(), UTC) for day in (first, last + DAY))
    return since, until


def _grouped(records: QuerySet[CostRecord], *columns: str) -> list[dict[str, Any]]:
    groups: QuerySet[Any] = records.values("state", **{name: F(f"stream__{name}") for name in columns}).annotate(
        streams=Count("pk"),
        prompt=Sum("prompt_tokens"),
        completion=Sum("completion_tokens"),
        total=Sum("total_pico_usd", default=0),
    )
    return list(groups)


def _add(found: Spending, slice_of_day: Slice, row: dict[str, Any]) -> None:
    for slices, name in ((found.models, "model"), (found.providers, "provider"), (found.issuers, "issuer")):
        slices.setdefault(row[name], Slice(row[name])).add(row)
    slice_of_day.add(row)
    found.total.add(row)


def _dearest(records: QuerySet[CostRecord], *columns: str) -> dict[tuple[str | None, ...], Slice]:
    """The dearest values of the streams' ``columns``; two questions, because few of all there are are shown."""
    sums: QuerySet[Any] = records.values(**{name: F(f"stream__{name}") for name in columns})
    dearest = sums.annotate(total=Sum("total_pico_usd", default=0)).order_by("-total", *columns)
    keys = list(dearest.values_list(*columns)[:MOST_SHOWN])
    slices = {key: Slice(key[-1] or NO_TEMPLATE) for key in keys}
    chosen = Q()
    for key in keys:
        chosen |= Q(*map(_is, columns, key))
    for row in _grouped(records.filter(chosen), *columns) if keys else ():
        slices[tuple(row[name] for name in columns)].add(row)
    return slices


def _is(column: str, value: str | None) -> Q:
    return Q(**{f"stream__{column}__isnull": True} if value is None else {f"stream__{column}": value})


def _name_keys(issuers: dict[str, Slice]) -> None:
    """``key:7`` as the key's name."""
    numbers = {name.removeprefix("key:") for name in issuers if name.startswith("key:")}
    keys = {f"key:{key.pk}": str(key) for key in ApiKey.objects.filter(pk__in=[n for n in numbers if n.isdecimal()])}
    for name, each in issuers.items():
        each.name = keys.get(name, name)
