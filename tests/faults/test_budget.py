"""Limits hold exactly: with many starts at once on two processes, over ``kill -9``, and over midnight."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from streaming import lease, ledger, limits
from streaming.claims import Claim, Found, Owner, claim_all
from streaming.endings import INTERRUPTED, Settlement
from streaming.errors import BudgetExceeded, Limited, RateLimited
from streaming.models import Allowance, CostRecord
from streaming.params import Ask
from streaming.pricing import PICO_PER_USD, Prices, Usage
from tests.conformance.conftest import connected_to
from tests.faults.conftest import ServeTwo
from tests.faults.records import Records
from tests.servers import Server

STARTS = 100
FITS = 7
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRICES = Prices(input=1, output=1, cached_input=1, cache_write=1, source="tests")
MOST = PICO_PER_USD // 100
"""What every start of the unit tests may cost: a cent."""

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def database(database_url: str, django_db_blocker: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this process."""
    with django_db_blocker.unblock(), connected_to(database_url):  # type: ignore[attr-defined]
        yield database_url


class Clock:
    """The time, passed in; starts and settles in transactions of their own."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now
        self.made = 0
        self.process = lease.register(["tests"])[0].pk

    def start(self, user_id: str = "u1", address: str | None = None) -> Found | Exception:
        self.made += 1
        owner, ask = Owner("tests", user_id), Ask(asked={"message": "hello"})
        claim = Claim(
            *(owner, f"s{self.made}", ask, "demo", "demo", PRICES, 3),
            process=self.process,
            address=address,
            most_pico_usd=MOST,
        )
        with transaction.atomic():
            [outcome] = claim_all([claim], lambda: self.now)
        return outcome

    def settle(self, found: Found | Exception, pico_usd: int) -> None:
        assert isinstance(found, Found)
        usage = Usage(prompt_tokens=pico_usd)
        with transaction.atomic():
            ledger.settle(found.key, Settlement(INTERRUPTED, usage, True, PRICES, 1, None))


def reserved() -> int:
    return sum(CostRecord.objects.values_list("reserved_pico_usd", flat=True))


def spread(servers: list[Server], starts: int, user_id: str | None, message: str) -> list[tuple[int, str, str]]:
    """So many starts at once, in turns on each server: status, owner and stream of each."""

    def start(number: int) -> tuple[int, str, str]:
        owner, stream_id = user_id or f"u{number}", f"s{number}"
        asked = {"user_id": owner, "stream_id": stream_id, "message": message, "model": "demo"}
        answer = servers[number % len(servers)].post("/api/v1/stream", asked)
        assert answer.status_code in {201, 429}, answer.text
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status_code, owner, stream_id

    with ThreadPoolExecutor(starts) as pool:
        return list(pool.map(start, range(starts)))


def check_admitted(url: str, answers: list[tuple[int, str, str]], fits: int) -> None:
    """Exactly what fits was admitted, and nothing is there of the rest."""
    assert Counter(status for status, _, _ in answers) == {201: fits, 429: len(answers) - fits}
    admitted = {stream_id for status, _, stream_id in answers if status == 201}
    assert {row["stream_id"] for row in Records(url).rows("SELECT stream_id FROM streaming_stream")} == admitted
    [row] = Records(url).rows("SELECT count(*) AS n FROM streaming_costrecord")
    assert row["n"] == fits


def wait_until_settled(url: str) -> None:
    deadline = time.monotonic() + 20
    while Records(url).rows("SELECT 1 FROM streaming_costrecord WHERE state = 'pending'"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("whose", ["PER_DAY", "PER_DAY_TOTAL"])
def test_of_100_starts_at_once_on_two_processes_as_many_are_admitted_as_the_budget_has_room_for(
    database: str, serve_two: ServeTwo, whose: str
) -> None:
    # The numbers from 10000 on have two tokens each; the message has at most 16, and 32 that frame it.
    bound = (9_999 + 2 * 90_001) * 600_000 + (16 + 32) * 150_000
    budget = Decimal(bound * FITS + bound // 2) / PICO_PER_USD
    options = {f"STREAM_BUDGET_USD_{whose}": f"{budget:f}"}
    servers = serve_two(database, "daphne", "uvicorn", STREAM_LEASE_SECONDS="3", **options)
    answers = spread(servers, STARTS, "u1" if whose == "PER_DAY" else None, "/count 100000 10")
    check_admitted(database, answers, FITS)
    assert reserved() == FITS * bound
    assert limits.drift() == 0

    servers[0].kill()
    servers[1].kill()
    servers[0].start()
    wait_until_settled(database)
    assert reserved() == 0
    assert limits.drift() == 0
    # What was put aside is there again, all but what the streams have really cost.
    owner = "u1" if whose == "PER_DAY" else "somebody"
    begun = [
        servers[0].post("/api/v1/stream", {"user_id": owner, "stream_id": f"again{n}", "message": "/count 100000 10"})
        for n in range(FITS + 1)
    ]
    assert [answer.status_code for answer in begun] == [201] * FITS + [429]


def test_of_100_starts_at_once_on_two_processes_as_many_are_admitted_as_may_live(
    database_url: str, serve_two: ServeTwo
) -> None:
    servers = serve_two(database_url, "daphne", "uvicorn", STREAM_MAX_CONCURRENT_PER_USER=str(FITS))
    check_admitted(database_url, spread(servers, STARTS, "u1", "/sleep 60"), FITS)


def test_many_rounds_of_starts_and_ends_leave_no_drift(database: str, serve_two: ServeTwo) -> None:
    servers = serve_two(
        database, "daphne", "uvicorn", STREAM_BUDGET_USD_PER_DAY_TOTAL="5", STREAM_BUDGET_USD_PER_DAY="5"
    )
    answers = spread(servers, 2 * STARTS, "u1", "/count 20 0")
    assert {status for status, _, _ in answers} == {201}
    wait_until_settled(database)
    asked = {"user_id": "u1", "stream_id": "last", "message": "/count 20 0", "model": "demo"}
    assert servers[0].post("/api/v1/stream", asked).status_code == 201
    total = Allowance.objects.get(pk="total")
    assert total.through > 0
    assert total.spent_pico_usd == Allowance.objects.get(pk="owner:open/u1").spent_pico_usd > 0
    assert limits.drift() == 0


@override_settings(STREAM_BUDGET_USD_PER_DAY=Decimal("0.02"), STREAM_MAX_CONCURRENT_PER_USER=0)
def test_a_stream_counts_on_the_day_on_which_it_started(database: str) -> None:
    clock = Clock(datetime(2026, 3, 1, 23, 59, 50, tzinfo=UTC))
    first, second = clock.start(), clock.start()
    refusal = clock.start()
    assert isinstance(refusal, BudgetExceeded)
    assert refusal.retry_after == limits.RETRY_SECONDS
    clock.settle(first, MOST)
    refusal = clock.start()
    assert isinstance(refusal, BudgetExceeded) and refusal.retry_after == 5
    clock.now += timedelta(seconds=9, milliseconds=999)
    clock.settle(second, MOST)
    refusal = clock.start()
    assert isinstance(refusal, BudgetExceeded) and refusal.retry_after == 1
    clock.now += timedelta(milliseconds=1)
    assert isinstance(clock.start(), Found)
    clock.now += timedelta(seconds=10)
    assert isinstance(clock.start(), Found)
    assert isinstance(clock.start(), BudgetExceeded)
    assert limits.drift() == 0


@override_settings(STREAM_BUDGET_USD_PER_DAY=Decimal("0.02"), STREAM_MAX_CONCURRENT_PER_USER=0)
def test_what_is_settled_after_midnight_counts_on_the_day_before(database: str) -> None:
    clock = Clock(datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC))
    before = clock.start()
    clock.now += timedelta(seconds=2)
    clock.settle(before, 2 * MOST)
    assert isinstance(clock.start(), Found)
    assert isinstance(clock.start(), Found)
    assert isinstance(clock.start(), BudgetExceeded)


@override_settings(STREAM_BUDGET_USD_PER_DAY=Decimal("0.05"), STREAM_MAX_CONCURRENT_PER_USER=0)
def test_a_budget_is_exact(database: str) -> None:
    clock = Clock()
    assert all(isinstance(clock.start(), Found) for _ in range(5))
    assert isinstance(clock.start(), BudgetExceeded)
    assert isinstance(clock.start("u2"), Found)


@override_settings(STREAM_BUDGET_USD_PER_DAY_TOTAL=Decimal("2"), STREAM_MAX_CONCURRENT_PER_USER=0)
def test_what_is_remembered_of_the_ledger_and_what_is_not_make_the_sum(database: str) -> None:
    clock = Clock()
    live = [clock.start() for _ in range(20)]
    for _ in range(2 * limits.MOST_SUMMED):
        clock.settle(clock.start(), MOST)
    for found in live:
        clock.settle(found, MOST)
    assert isinstance(clock.start(), Found)
    assert Allowance.objects.get(pk="total").through > 0
    assert limits.drift() == 0
    left = 200 - 20 - 2 * limits.MOST_SUMMED - 1
    assert all(isinstance(clock.start(), Found) for _ in range(left))
    assert isinstance(clock.start(), BudgetExceeded)
    assert limits.drift() == 0
    clock.now += timedelta(days=1)
    assert all(isinstance(clock.start(), Found) for _ in range(200))
    assert isinstance(clock.start(), BudgetExceeded)
    assert limits.drift() == 0


@override_settings(
    STREAM_QUOTA_MESSAGES_PER_HOUR=2, STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS=2, STREAM_MAX_CONCURRENT_PER_USER=0
)
def test_retry_after_of_a_quota_is_the_second_at_which_one_more_fits(database: str) -> None:
    clock = Clock()
    clock.start("anon_1", "a1")
    clock.now += timedelta(minutes=10)
    clock.start("anon_1", "a1")
    clock.now += timedelta(minutes=5, milliseconds=500)
    for user_id, address in (("anon_1", "a2"), ("anon_2", "a1")):
        refusal = clock.start(user_id, address)
        assert isinstance(refusal, RateLimited) and refusal.retry_after == 45 * 60
    assert isinstance(clock.start("anon_2", "a2"), Found)
    assert isinstance(clock.start("login"), Found)
    clock.now += timedelta(seconds=45 * 60)
    assert isinstance(clock.start("anon_1", "a1"), Found)
    assert isinstance(clock.start("anon_1", "a1"), RateLimited)


LIMITS: dict[str, tuple[dict[str, Any], str]] = {
    "live": ({"STREAM_MAX_CONCURRENT_PER_USER": 1}, "u1"),
    "own budget": ({"STREAM_BUDGET_USD_PER_DAY": Decimal("0.01"), "STREAM_MAX_CONCURRENT_PER_USER": 0}, "u1"),
    "budget of all": ({"STREAM_BUDGET_USD_PER_DAY_TOTAL": Decimal("0.01"), "STREAM_MAX_CONCURRENT_PER_USER": 0}, "u2"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_start_waits_for_another_under_the_same_limit_that_is_not_committed(database: str, limit: str) -> None:
    options, other_user = LIMITS[limit]
    clock = Clock()

    def start_elsewhere() -> Found | Exception:
        try:
            return clock.start(other_user)
        finally:
            connections.close_all()

    with override_settings(**options), ThreadPoolExecutor(1) as elsewhere:
        for user_id in ("u1", other_user):
            clock.settle(clock.start(user_id), 0)
        with transaction.atomic():
            assert isinstance(clock.start("u1"), Found)
            waiting = elsewhere.submit(start_elsewhere)
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
        assert isinstance(waiting.result(10), Limited)


@override_settings(
    STREAM_QUOTA_MESSAGES_PER_HOUR=0, STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS=0, STREAM_MAX_CONCURRENT_PER_USER=0
)
def test_without_limits_a_start_asks_nothing_more_of_the_database(database: str) -> None:
    clock = Clock()
    with CaptureQueriesContext(connections["default"]) as captured:
        assert isinstance(clock.start("anon_1", "a1"), Found)
    kinds = [query["sql"].split(" ")[0] for query in captured.captured_queries]
    assert [kind for kind in kinds if kind in {"SELECT", "INSERT", "UPDATE"}] == ["SELECT"] + ["INSERT"] * 3
