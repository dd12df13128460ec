"""Limits of starts: messages an hour, live streams, budgets a day; and of open reader connections.

What a stream may cost is put aside with its record, in the transaction that creates it, and gives way to the real
cost in the transaction that settles it. Nothing else is written at a settlement: what an account has spent is summed
from the ledger, of which an ``Allowance`` remembers the part that cannot change any more. So a stream that was killed
gives back what it put aside when it is closed, whoever closes it.

An account is an owner, the address that anonymous identities come from, or everybody together. A start locks the rows
of its accounts, in the order of their names: starts of one account come one after the other, on all processes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.utils import timezone

from streaming.conf import settings
from streaming.errors import BudgetExceeded, Limited, RateLimited, TooManyStreams
from streaming.models import Allowance, CostRecord, CostState, Stream, StreamQuerySet
from streaming.pricing import PICO_PER_USD

RETRY_SECONDS = 5
"""``Retry-After`` where a stream that ends, or a connection that closes, makes room: nobody knows when."""

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

MOST_SUMMED = 64
"""Records of the ledger that a start sums up before an ``Allowance`` remembers what it can of them."""

MOST_PICO_USD = 2**63 - 1
"""What the database can hold: a higher budget is this one."""

TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a start asks for. ``address`` is that of an anonymous identity, hashed; None for every other.

    ``most_pico_usd`` is the most that the call can cost; None where no price is known.
    """

    issuer: str
    user_id: str
    address: str | None = None
    most_pico_usd: int | None = 0

    @property
    def owner_account(self) -> str:
        return f"owner:{self.issuer}/{self.user_id}"

    @property
    def address_account(self) -> str:
        return f"address:{self.address}"

    @property
    def shares_budget(self) -> bool:
        """Whether it shares a budget with the other anonymous identities of its address."""
        return self.address is not None and settings.STREAM_ANONYMOUS_PER_ADDRESS > 0


@dataclass(frozen=True, slots=True)
class _Spending:
    """What an account has spent and put aside on a day."""

    spent: int
    reserved: int


class Gate:
    """Admits starts one by one, each counting those before it.

    With ``lock``, in a transaction: the rows of all accounts stay locked until it ends. Without, only to look.
    """

    def __init__(
        self, demands: Iterable[Demand], clock: Callable[[], datetime] = timezone.now, *, lock: bool = True
    ) -> None:
        self._lock = lock
        accounts = sorted({account for demand in demands for account in _accounts(demand)})
        self._allowances = _lock_allowances(accounts, clock()) if lock and accounts else {}
        self.now = clock()
        """The time of these starts; told after the wait for the locks, so that it is no earlier than that of others."""

    def refusal(self, demand: Demand) -> Limited | None:
        """Why a start is refused; None for one that is admitted."""
        return self._check_messages(demand) or self._check_live(demand) or self._check_budgets(demand)

    def _check_messages(self, demand: Demand) -> Limited | None:
        """Of an anonymous identity, and of all that come from its address."""
        waits = [
            (room_at, sentence)
            for streams, most, sentence in _quotas(demand)
            if (room_at := _room_at(streams, most)) is not None and room_at > self.now
        ]
        if not waits:
            return None
        latest, sentence = max(waits)
        return RateLimited(sentence, retry_after=_seconds(latest - self.now))

    def _check_live(self, demand: Demand) -> Limited | None:
        most = settings.STREAM_MAX_CONCURRENT_PER_USER
        if most <= 0 or _of_owner(demand).filter(finished_at__isnull=True).count() < most:
            return None
        return TooManyStreams(f"At most {most} answers at once; let one end first.", retry_after=RETRY_SECONDS)

    def _check_budgets(self, demand: Demand) -> Limited | None:
        most = demand.most_pico_usd
        for account, budget, whose in _budgets(demand):
            allowance = self._allowance(account)
            midnight = datetime.combine(allowance.day + DAY, time(), UTC)
            tomorrow = _seconds(midnight - self.now)
            if most is None:
                return BudgetExceeded(
                    "There is a budget, and the price of this model is not known.", retry_after=tomorrow
                )
            spending = self._spending(allowance)
            if spending.spent + spending.reserved + most <= budget:
                continue
            # What live streams have put aside comes back, all but what they really cost.
            passes = spending.reserved > 0 and spending.spent + most <= budget
            return BudgetExceeded(
                f"This answer may cost more than is left of {whose} budget of today.",
                retry_after=RETRY_SECONDS if passes else tomorrow,
            )
        return None

    def _allowance(self, account: str) -> Allowance:
        if account not in self._allowances:
            found = Allowance.objects.filter(pk=account).first()
            self._allowances[account] = found or Allowance(account=account, day=_day(self.now))
        allowance = self._allowances[account]
        if allowance.day < _day(self.now):
            allowance.day, allowance.spent_pico_usd = _day(self.now), 0
        return allowance

    def _spending(self, allowance: Allowance) -> _Spending:
        if not allowance.through:
            allowance.through = _before(allowance)
        records = CostRecord.objects.filter(_scope(allowance.account), pk__gt=allowance.through)
        today = _on(allowance.day)
        sums = records.aggregate(
            rows=Count("pk"),
            newest=Max("pk"),
            live=Min("pk", filter=today & Q(state=CostState.PENDING)),
            spent=Sum("total_pico_usd", filter=today, default=0),
            reserved=Sum("reserved_pico_usd", filter=today, default=0),
        )
        spending = _Spending(allowance.spent_pico_usd + int(sums["spent"]), int(sums["reserved"]))
        if self._lock and sums["rows"] > MOST_SUMMED:
            through = sums["newest"] if sums["live"] is None else sums["live"] - 1
            settled = records.filter(today, pk__lte=through).aggregate(sum=Sum("total_pico_usd", default=0))
            allowance.spent_pico_usd += int(settled["sum"])
            allowance.through = through
            allowance.save(update_fields=["day", "spent_pico_usd", "through"])
        return spending


def drift() -> int:
    """By how many pico-dollars the accounts and the ledger disagree; 0, at any time.

    Counts what settled records still put aside, and what an ``Allowance`` remembers of its day and the ledger does not.
    """
    left = CostRecord.objects.exclude(state=CostState.PENDING).aggregate(sum=Sum("reserved_pico_usd", default=0))
    wrong = int(left["sum"])
    for allowance in Allowance.objects.filter(through__gt=0):
        records = CostRecord.objects.filter(_on(allowance.day), _scope(allowance.account), pk__lte=allowance.through)
        in_ledger = records.aggregate(sum=Sum("total_pico_usd", default=0))
        wrong += abs(allowance.spent_pico_usd - int(in_ledger["sum"]))
    return wrong


def has_budget() -> bool:
    """Whether a start has to know what it may cost."""
    return in_pico(settings.STREAM_BUDGET_USD_PER_DAY) > 0 or in_pico(settings.STREAM_BUDGET_USD_PER_DAY_TOTAL) > 0


def records_on(account: str, day: date) -> QuerySet[CostRecord]:
    """The records of the ledger that an account answers for, of the streams that started on a day (UTC)."""
    return CostRecord.objects.filter(_on(day), _scope(account))


def in_pico(usd: Decimal) -> int:
    """An amount of a setting in pico-dollars, as far as the database can hold it."""
    # By way of text: a project may have set a float.
    return min(int(Decimal(str(usd)) * PICO_PER_USD), MOST_PICO_USD)


class Places:
    """How many reader connections of this process each owner has open. Of one event loop."""

    def __init__(self) -> None:
        self.taken: Counter[object] = Counter()

    def place(self, owner: object) -> Place:
        """A place for one connection, not taken yet."""
        return Place(self, owner)


class Place:
    """One connection's place. ``leave`` is idempotent, and for good: what is taken after it is not."""

    def __init__(self, places: Places, owner: object) -> None:
        self._taken = places.taken
        self._owner = owner
        self._is_taken = False
        self._is_left = False

    def take(self) -> None:
        """Raises TooManyStreams where the owner has as many connections as it may."""
        if self._is_taken or self._is_left:
            return
        most = settings.STREAM_MAX_CONNECTIONS_PER_USER
        if 0 < most <= self._taken[self._owner]:
            raise TooManyStreams(f"At most {most} connections at once; close one first.", retry_after=RETRY_SECONDS)
        self._taken[self._owner] += 1
        self._is_taken = True

    def leave(self) -> None:
        """Give the place back."""
        if self._is_taken and not self._is_left:
            self._taken[self._owner] -= 1
            if not self._taken[self._owner]:
                del self._taken[self._owner]
        self._is_left = True


def _accounts(demand: Demand) -> set[str]:
    """The accounts whose starts must come one after the other."""
    accounts = {account for account, _, _ in _budgets(demand)}
    if settings.STREAM_MAX_CONCURRENT_PER_USER > 0:
        accounts.add(demand.owner_account)
    if demand.address is not None and settings.STREAM_QUOTA_MESSAGES_PER_HOUR > 0:
        accounts.add(demand.owner_account)
    if demand.address is not None and settings.STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS > 0:
        accounts.add(demand.address_account)
    return accounts


def _quotas(demand: Demand) -> list[tuple[StreamQuerySet, int, str]]:
    """What counts, how many an hour, and the sentence of a refusal, of every quota that a start is under."""
    if demand.address is None:
        return []
    own, shared = settings.STREAM_QUOTA_MESSAGES_PER_HOUR, settings.STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS
    quotas = []
    if own > 0:
        quotas.append((_of_owner(demand), own, f"At most {own} messages an hour without an account; try again later."))
    if shared > 0:
        sentence = f"At most {shared} messages an hour without an account from your network; try again later."
        quotas.append((Stream.objects.filter(address=demand.address), shared, sentence))
    return quotas


def _budgets(demand: Demand) -> list[tuple[str, int, str]]:
    """Account, budget in pico-dollars, and whose it is, of every budget that a start is under."""
    own, total = in_pico(settings.STREAM_BUDGET_USD_PER_DAY), in_pico(settings.STREAM_BUDGET_USD_PER_DAY_TOTAL)
    budgets = []
    if own > 0:
        budgets.append((demand.owner_account, own, "your"))
        if demand.shares_budget:
            shared = own * settings.STREAM_ANONYMOUS_PER_ADDRESS
            budgets.append((demand.address_account, shared, "your network's"))
    if total > 0:
        budgets.append((TOTAL, total, "everybody's"))
    return budgets


def _lock_allowances(accounts: list[str], now: datetime) -> dict[str, Allowance]:
    """The rows of these accounts, made where there are none; locked, in order, until the transaction ends.

    SQLite has no row locks and needs none: its transactions here begin with the write lock.
    """
    rows = Allowance.objects.filter(pk__in=accounts).order_by("pk")
    known = set(rows.values_list("pk", flat=True))
    new = [Allowance(account=account, day=_day(now)) for account in accounts if account not in known]
    Allowance.objects.bulk_create(new, ignore_conflicts=True)
    return {row.account: row for row in rows.select_for_update()}


def _of_owner(demand: Demand) -> StreamQuerySet:
    return Stream.objects.owned_by(demand.issuer, demand.user_id)


def _room_at(streams: QuerySet[Stream], most: int) -> datetime | None:
    """When one more message fits into an hour; None where fewer than ``most`` were ever sent."""
    newest = streams.order_by("-pk").values_list("created_at", flat=True)
    started = newest[most - 1 : most].first()
    return None if started is None else started + HOUR


def _scope(account: str, stream: str = "stream__") -> Q:
    """The records of the ledger that an account answers for; or, with ``stream`` empty, the streams."""
    kind, _, name = account.partition(":")
    if kind == "owner":
        issuer, _, user_id = name.rpartition("/")
        return Q(**{f"{stream}issuer": issuer, f"{stream}user_id": user_id})
    return Q(**{f"{stream}address": name}) if kind == "address" else Q()


def _before(allowance: Allowance) -> int:
    """The newest of an account's streams that is sure to be of a day before: none up to it counts today.

    Found from the end, so that it takes no longer than the streams of the day. Clocks may differ by up to an hour.
    """
    midnight = datetime.combine(allowance.day, time(), UTC)
    earlier = Stream.objects.filter(_scope(allowance.account, ""), created_at__lt=midnight - HOUR)
    return earlier.order_by("-pk").values_list("pk", flat=True).first() or 0


def _on(day: date) -> Q:
    """Records of the streams that started on a day (UTC)."""
    midnight = datetime.combine(day, time(), UTC)
    return Q(created_at__gte=midnight, created_at__lt=midnight + DAY)


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()


def _seconds(wait: timedelta) -> int:
    return max(1, math.ceil(wait.total_seconds()))
