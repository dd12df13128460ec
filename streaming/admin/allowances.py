"""Allowances: what each account has used of its budget and of its quota."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from streaming.admin.base import ReadOnlyAdmin, dollars
from streaming.allowances import Account, account_of
from streaming.models import Allowance

METER_UNITS = 100


@admin.register(Allowance)
class AllowanceAdmin(ReadOnlyAdmin):
    """What is shown is summed up now, of today; the row itself remembers a part of it."""

    list_display = ("account", "spent", "put_aside", "budget", "left", "messages", "live")
    list_per_page = 25
    search_fields = ("account__startswith",)
    search_help_text = "The beginning of an account: owner:session/anon_…, address:…, total"
    ordering = ("account",)
    fields = (*list_display, "day", "spent_pico_usd", "through")

    @admin.display(description="Spent today (USD)")
    def spent(self, allowance: Allowance) -> str:
        return dollars(_account(allowance).spent)

    @admin.display(description="Put aside (USD)")
    def put_aside(self, allowance: Allowance) -> str:
        return dollars(_account(allowance).reserved)

    @admin.display(description="Budget of a day (USD)")
    def budget(self, allowance: Allowance) -> str:
        budget = _account(allowance).budget
        return "no limit" if budget is None else dollars(budget)

    @admin.display(description="Left of it")
    def left(self, allowance: Allowance) -> str:
        account = _account(allowance)
        if account.budget is None or account.left is None:
            return "–"
        return _meter(account.left, account.budget, f"{dollars(account.left)} USD")

    @admin.display(description="Messages in the last hour")
    def messages(self, allowance: Allowance) -> str:
        account = _account(allowance)
        if account.messages is None:
            return "–"
        return f"{account.messages}" if account.quota is None else f"{account.messages} of {account.quota}"

    @admin.display(description="Live streams")
    def live(self, allowance: Allowance) -> str:
        account = _account(allowance)
        if account.live is None:
            return "–"
        return f"{account.live}" if account.most_live is None else f"{account.live} of {account.most_live}"


def _account(allowance: Allowance) -> Account:
    """What is true of the account now; asked once for each row of a page."""
    known: Account | None = getattr(allowance, "_account", None)
    if known is None:
        known = allowance._account = account_of(allowance.account)  # type: ignore[attr-defined]
    return known


def _meter(value: int, most: int, text: str) -> SafeString:
    width = max(0, min(METER_UNITS, METER_UNITS * value // (most or 1)))
    return format_html(
        '<svg class="meter" viewBox="0 0 100 8" aria-hidden="true"><rect class="meter-all" width="100" height="8"/>'
        '<rect class="meter-part" width="{}" height="8"/></svg> {}',
        width,
        text,
    )
