"""The ledger against an independent computation in integers: every call, user, day and the total, difference 0."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.commands import run
from tests.faults.conftest import Serve
from tests.faults.records import Records
from tests.servers import Server
from tests.upstream import Upstream

OPENAI, ANTHROPIC = "gpt-4o-mini", "claude-haiku-4-5"
USERS, DAYS, THREADS = 7, 3, 12
PRICES = ((150_000, 600_000, 75_000, 187_500), (3_000_001, 15_000_007, 300_003, 3_750_011), (7, 1, 3, 0))
"""Of three versions, in pico-dollars a token: input, output, cached input, cache write."""

WAIT_SECONDS = 60

LEDGER = "streaming_costrecord c JOIN streaming_stream s ON s.id = c.stream_id"
MOVE_TO_DAY = (
    (
        "UPDATE streaming_costrecord SET created_at = ? WHERE stream_id IN"
        " (SELECT id FROM streaming_stream WHERE NUMBER - NUMBER / DAYS * DAYS = ?)"
    )
    .replace("NUMBER", "CAST(substr(stream_id, 6) AS integer)")
    .replace("DAYS", str(DAYS))
)


@dataclass(frozen=True)
class Counts:
    """What a call is billed for; ``plain`` is the prompt that is neither cached nor written to a cache."""

    plain: int
    completion: int
    cached: int = 0
    written: int = 0

    @property
    def prompt(self) -> int:
        return self.plain + self.cached + self.written

    def cost(self, prices: tuple[int, int, int, int]) -> int:
        """In pico-dollars."""
        billed, answered, cached, written = prices
        return self.plain * billed + self.completion * answered + self.cached * cached + self.written * written


@dataclass(frozen=True)
class Call:
    """One scripted call, and what it must cost."""

    number: int
    kind: str
    model: str
    script: dict[str, Any]
    counts: Counts
    version: int = 0
    chunks: int = 0
    """Delivered before it ends early."""

    @property
    def stream_id(self) -> str:
        return f"call-{self.number}"

    @property
    def user_id(self) -> str:
        return f"user-{self.number % USERS}"

    @property
    def day(self) -> int:
        """How many days ago it is said to have been."""
        return self.number % DAYS

    @property
    def pico_usd(self) -> int:
        return self.counts.cost(PRICES[self.version])

    @property
    def state(self) -> str:
        return "provider" if self.kind in COMPLETE else "estimated"


COMPLETE = ("plain", "cached", "reasoning", "cache-write")
CUT = ("failed", "cancelled", "crashed")


def draw(number: int, chance: random.Random) -> Call:
    """A call of a random kind."""
    kind = chance.choices((*COMPLETE, *CUT), (3, 3, 3, 3, 2, 2, 1))[0]
    model = (
        ANTHROPIC if kind == "cache-write" else OPENAI if kind == "reasoning" else chance.choice((OPENAI, ANTHROPIC))
    )
    prompt, completion = chance.randint(1, 10**6), chance.randint(20, 10**5)
    cached = 0 if kind == "plain" else chance.randint(0, prompt - 1)
    written = chance.randint(0, prompt - cached - 1) if model == ANTHROPIC and kind != "plain" else 0
    counts = Counts(prompt - cached - written, completion, cached, written)
    chunks = chance.randint(1, 9)
    script: dict[str, Any] = {"count": chance.randint(1, 12), **_usage(model, counts, chance)}
    if kind in CUT:
        script |= {"count": 12, "cut_after" if kind == "failed" else "stall_after": chunks}
        # Of the answer there are our own counts alone; of the prompt, what the provider told early, if it did.
        counts = replace(counts, completion=chunks)
        if model == OPENAI:
            counts = Counts(_estimate(script), chunks)
    return Call(number, kind, model, script, counts, chunks=chunks)


def _usage(model: str, counts: Counts, chance: random.Random) -> dict[str, Any]:
    if model == ANTHROPIC:
        start = {"input_tokens": counts.plain, "output_tokens": 1}
        caches = {"cache_read_input_tokens": counts.cached, "cache_creation_input_tokens": counts.written}
        return {"start_usage": {**start, **caches}, "usage": {"output_tokens": counts.completion}}
    prompt = counts.plain + counts.cached
    return {
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": counts.completion,
            "total_tokens": prompt + counts.completion,
            "prompt_tokens_details": {"cached_tokens": counts.cached},
            "completion_tokens_details": {"reasoning_tokens": chance.randint(0, counts.completion)},
        }
    }


@dataclass
class Business:
    """A server, its ledger, and what it is asked."""

    server: Server
    records: Records
    calls: list[Call] = field(default_factory=list)

    def price(self, version: int) -> None:
        """Bill what starts from now on at another price."""
        usd = [price / 10**6 for price in PRICES[version]]
        for provider, model in (("openai", OPENAI), ("anthropic", ANTHROPIC)):
            self.records.rows(
                "INSERT INTO streaming_modelprice (provider, model, starts_at, input_usd, output_usd,"
                " cached_input_usd, cache_write_usd) VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(provider, model, datetime.now(UTC).isoformat(sep=" "), *(f"{each:.6f}" for each in usd)),
            )

    def ask(self, calls: Iterable[Call]) -> None:
        """Start these, many at once; cancel those that are to be cancelled."""
        own = threading.local()
        with ExitStack() as opened:

            def connect() -> None:
                own.connection = opened.enter_context(
                    closing(HTTPConnection("127.0.0.1", self.server.port, timeout=60))
                )

            with ThreadPoolExecutor(THREADS, initializer=connect) as pool:
                self.calls += pool.map(lambda call: _ask(own.connection, call), calls)

    def wait(self, kinds: Iterable[str], reached: Callable[[dict[str, Any], Call], bool]) -> None:
        """Until the heads of all calls of these kinds are where they should be."""
        waiting = {call.stream_id: call for call in self.calls if call.kind in set(kinds)}
        deadline = time.monotonic() + WAIT_SECONDS
        query = (
            "SELECT s.stream_id, h.next_event_id, h.closed FROM streaming_streamhead h"
            " JOIN streaming_stream s ON s.id = h.stream_id"
        )
        while waiting:
            assert time.monotonic() < deadline, list(waiting)[:5]
            for head in self.records.rows(query):
                if head["stream_id"] in waiting and reached(head, waiting[head["stream_id"]]):
                    del waiting[head["stream_id"]]
            time.sleep(0.1)


def _ask(connection: HTTPConnection, call: Call) -> Call:
    asked = {"user_id": call.user_id, "stream_id": call.stream_id, "model": call.model}
    status, shown = _send(connection, "POST", "/api/v1/stream", {**asked, "message": json.dumps(call.script)})
    assert status == 201, shown
    if call.kind != "cancelled":
        return call
    status = 202
    while status == 202:  # a slow disk
        path = f"/api/v1/stream/{call.stream_id}?user_id={call.user_id}"
        status, shown = _send(connection, "DELETE", path)
    assert (status, shown["status"]) == (200, "cancelled")
    # It may have come before the provider told anything.
    told = call.counts if shown["prompt_tokens"] == call.counts.prompt else Counts(_estimate(call.script), 0)
    return replace(call, counts=replace(told, completion=len(shown["text"].split())))


def _send(connection: HTTPConnection, method: str, path: str, values: Any = None) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    connection.request(method, path, None if values is None else json.dumps(values), headers)
    with connection.getresponse() as answer:
        return answer.status, json.loads(answer.read())


def _estimate(script: dict[str, Any]) -> int:
    """The tokens of a prompt by our own count: a quarter of its bytes."""
    return max(1, round(len(json.dumps(script)) / 4))


@pytest.fixture
def business(database_url: str, serve: Serve, upstream: Upstream) -> Iterator[Business]:
    """A server that both providers serve, and whose budgets are kept."""
    providers = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": upstream.url}
    budgets = {"STREAM_BUDGET_USD_PER_DAY": "1000000", "STREAM_BUDGET_USD_PER_DAY_TOTAL": "9000000"}
    server = serve(database_url, kind="uvicorn", STREAM_LEASE_SECONDS="3", **providers, **budgets)
    yield Business(server, Records(database_url))


def play(business: Business, calls: int, seed: int) -> None:
    """Ask, in three parts at three prices; kill the server under those that are to crash; compare every sum."""
    chance = random.Random(seed)
    drawn = [draw(number, chance) for number in range(calls)]
    for version in range(len(PRICES)):
        business.price(version)
        business.ask(replace(call, version=version) for call in drawn[version :: len(PRICES)])
    business.wait([*COMPLETE, "failed", "cancelled"], lambda head, call: bool(head["closed"]))
    business.wait(["crashed"], lambda head, call: head["next_event_id"] >= call.chunks)
    business.server.kill()
    business.server.start()
    business.wait(["crashed"], lambda head, call: bool(head["closed"]))
    assert Counter(call.kind for call in business.calls).keys() == {*COMPLETE, *CUT}
    compare(business)


def compare(business: Business) -> None:
    """Each call, and the sums as the database makes them, against sums of our own."""
    records, calls = business.records, business.calls
    rows = {row["name"]: row for row in records.rows(f"SELECT s.stream_id AS name, c.* FROM {LEDGER}")}
    assert len(rows) == len(calls)
    for call in calls:
        row = rows[call.stream_id]
        assert (row["total_pico_usd"], row["state"]) == (call.pico_usd, call.state), (call, row)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (call.counts.prompt, call.counts.completion), call
        assert row["reserved_pico_usd"] == 0
    for day in range(DAYS):
        records.rows(MOVE_TO_DAY, f"2026-01-{day + 1:02} 12:00:00+00:00", day)
    assert sums(records, "s.user_id") == own_sums(calls, lambda call: call.user_id)
    assert sums(records, "substr(CAST(c.created_at AS text), 9, 2)") == own_sums(
        calls, lambda call: f"{call.day + 1:02}"
    )
    assert sums(records, "'total'") == own_sums(calls, lambda call: "total")
    reconciled = run(records.url, "reconcile_costs")
    assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr


def sums(records: Records, group: str) -> dict[str, int]:
    """What the ledger comes to, by a group, as the database sums it up."""
    query = f"SELECT {group} AS name, sum(c.total_pico_usd) AS pico FROM {LEDGER} GROUP BY 1"
    return {row["name"]: int(row["pico"]) for row in records.rows(query)}


def own_sums(calls: Iterable[Call], group: Callable[[Call], str]) -> dict[str, int]:
    """What it must come to."""
    found: Counter[str] = Counter()
    for call in calls:
        found[group(call)] += call.pico_usd
    return dict(found)


@pytest.mark.timeout(300)
def test_500_calls_on_each_database_come_to_what_they_must(business: Business) -> None:
    play(business, 500, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_10000_calls_come_to_what_they_must(business: Business) -> None:
    play(business, 10_000, seed=2)
