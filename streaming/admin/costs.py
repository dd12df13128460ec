"""What was spent, what is left of the budget, and whether the ledger adds up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from streaming.admin.base import ReadOnlyAdmin
from streaming.admin.charts import day_chart
from streaming.admin.spending import DAY, Slice, Spending, reconcile_sums, spending
from streaming.allowances import account_of
from streaming.limits import TOTAL

PERIODS = (1, 7, 30, 90)
DEFAULT_PERIOD = 7
BAR_UNITS = 160


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a table, with bars as long as its parts of the dearest one."""

    slice: Slice
    provider: int
    estimated: int


@dataclass(frozen=True, slots=True)
class Table:
    """A way to divide the spending."""

    title: str
    bars: list[Bar]


def page(request: HttpRequest, model_admin: ReadOnlyAdmin) -> HttpResponse:
    """``/admin/streaming/stream/costs/?days=7``."""
    if not request.user.has_perm("streaming.view_costrecord"):
        raise PermissionDenied
    asked = request.GET.get("days", "")
    days = int(asked) if asked in {str(period) for period in PERIODS} else DEFAULT_PERIOD
    today = timezone.now().astimezone(UTC).date()
    found = spending(today, days)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Costs",
        "opts": model_admin.opts,
        "days": days,
        "periods": PERIODS,
        "spending": found,
        "chart": day_chart(found.days),
        "tables": _tables(found),
        "budget": account_of(TOTAL),
        "reconciliation": reconcile_sums(today - (days - 1) * DAY, today),
    }
    return TemplateResponse(request, "admin/streaming/costs.html", context)


def _tables(found: Spending) -> list[Table]:
    divided = (
        ("Model", found.by_cost(found.models.values())),
        ("Provider", found.by_cost(found.providers.values())),
        ("API key, sessions, open access", found.by_cost(found.issuers.values())),
        ("User", found.users),
        ("Template", found.templates),
    )
    return [Table(title, _bars(slices)) for title, slices in divided]


def _bars(slices: list[Slice]) -> list[Bar]:
    most = max((each.total for each in slices), default=0) or 1
    return [Bar(each, BAR_UNITS * each.provider // most, BAR_UNITS * each.estimated // most) for each in slices]
