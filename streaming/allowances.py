"""What an account has used of its limits, for people. Synchronous; locks nothing and promises nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from django.db.models import Sum
from django.utils import timezone

from streaming.conf import settings
from streaming.limits import HOUR, TOTAL, in_pico, records_on
from streaming.models import Stream, StreamQuerySet

MOST_COUNTED = 1000
"""Streams of the last hour, and live ones, that are counted."""
ANONYMOUS = "anon_"
"""How the ``user_id`` of an anonymous identity begins."""


@dataclass(frozen=True, slots=True)
class Account:
    """What is used. Amounts are in pico-dollars, of today (UTC).

    ``messages`` are those of the last hour and ``live`` the open streams, None of the account of all together. None in
    place of a limit: there is none.
    """

    spent: int
    reserved: int
    budget: int | None
    messages: int | None = None
    quota: int | None = None
    live: int | None = None
    most_live: int | None = None

    @property
    def left(self) -> int | None:
        """What is left of the budget; None where there is none."""
        return None if self.budget is None else max(0, self.budget - self.spent - self.reserved)


def account_of(name: str) -> Account:
    """An account by its name, as ``Allowance.account``."""
    today = timezone.now().astimezone(UTC).date()
    sums = records_on(name, today).aggregate(
        spent=Sum("total_pico_usd", default=0), reserved=Sum("reserved_pico_usd", default=0)
    )
    spent, reserved = int(sums["spent"]), int(sums["reserved"])
    kind, _, rest = name.partition(":")
    own = in_pico(settings.STREAM_BUDGET_USD_PER_DAY)
    if name == TOTAL:
        budget = in_pico(settings.STREAM_BUDGET_USD_PER_DAY_TOTAL)
        return Account(spent, reserved, budget or None)
    if kind == "address":
        shared = own * settings.STREAM_ANONYMOUS_PER_ADDRESS
        streams = Stream.objects.filter(address=rest)
        quota = settings.STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS
        messages, live = _count(streams)
        return Account(spent, reserved, shared or None, messages, quota or None, live)
    issuer, _, user_id = rest.rpartition("/")
    messages, live = _count(Stream.objects.owned_by(issuer, user_id))
    is_anonymous = issuer == "session" and user_id.startswith(ANONYMOUS)
    return Account(
        spent,
        reserved,
        own or None,
        messages,
        (settings.STREAM_QUOTA_MESSAGES_PER_HOUR or None) if is_anonymous else None,
        live,
        settings.STREAM_MAX_CONCURRENT_PER_USER or None,
    )


def _count(streams: StreamQuerySet) -> tuple[int, int]:
    """How many were started in the last hour, and how many are live."""
    since = timezone.now() - HOUR
    newest = streams.order_by("-pk").values_list("created_at", flat=True)[:MOST_COUNTED]
    live = streams.filter(finished_at__isnull=True).order_by()[:MOST_COUNTED].count()
    return sum(created_at >= since for created_at in newest), live
