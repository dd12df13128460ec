"""§3, 429: quota, live streams, connections, budgets; each with ``Retry-After``; a refused start leaves nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.wire import CANARY_KEY, STREAM, Answer, Client, client, fresh, session
from tests.servers import Server

MODEL = "gpt-4o-mini"
PRICE = 0.60e-6
"""Of a token of the demo's answers, in USD."""

PER_ADDRESS = {"STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS": "1"}

Serve = Callable[..., Server]


@pytest.fixture
def limited(sqlite_url: str, serve: Serve) -> Callable[..., Server]:
    """Start a server with limits."""

    def start(**options: str) -> Server:
        return serve(sqlite_url, **{"DEMO_TOKENS_PER_SECOND": "0", **options})

    return start


def refused(answer: Answer, error_type: str) -> int:
    """Checks a 429; its ``Retry-After``."""
    assert (answer.status, answer.json["error_type"]) == (429, error_type), answer.body
    assert answer.json["detail"] and answer.json["title"]
    after = answer.header("Retry-After")
    assert after is not None and after.isdigit() and int(after) > 0
    return int(after)


def until_midnight() -> float:
    now = datetime.now(UTC)
    return 86400 - (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def rows(url: str, statement: str) -> list[Any]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(statement).fetchall()


def change(url: str, statement: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=5)) as connection, connection:
        connection.execute(statement)


def age(url: str, stream_id: str, minutes: int) -> None:
    """Make a stream start so many minutes earlier."""
    change(
        url,
        f"UPDATE streaming_stream SET created_at = datetime(created_at, '-{minutes} minutes')"
        f" WHERE stream_id = '{stream_id}'",
    )


def leaves_nothing(url: str, stream_id: str) -> None:
    assert rows(url, f"SELECT 1 FROM streaming_stream WHERE stream_id = '{stream_id}'") == []
    [(streams,), *_] = rows(url, "SELECT count(*) FROM streaming_stream")
    assert rows(url, "SELECT count(*) FROM streaming_costrecord") == [(streams,)]
    assert rows(url, "SELECT count(*) FROM streaming_streamhead") == [(streams,)]


def test_an_anonymous_identity_may_send_so_many_messages_in_any_hour(limited: Serve, sqlite_url: str) -> None:
    server = limited(STREAM_OPEN_ACCESS="0", STREAM_QUOTA_MESSAGES_PER_HOUR="3")
    someone, _ = session(server)
    for name in ("s1", "s2", "s3"):
        assert someone.begin(stream_id=name, message="/count 1 0").status == 201
        someone.closed(name)
    age(sqlite_url, "s1", 50)
    after = refused(someone.begin(stream_id="s4", message="/count 1 0"), "rate_limited")
    assert 540 < after <= 600
    leaves_nothing(sqlite_url, "s4")
    assert someone.begin(stream_id="s1", message="/count 1 0").status == 200
    assert someone.begin(stream_id="s1", message="/count 2 0").status == 409
    assert someone.get(stream_id="s2").status == 200
    assert session(server)[0].begin(stream_id="s4", message="/count 1 0").status == 201
    age(sqlite_url, "s1", 10)
    assert someone.begin(stream_id="s4", message="/count 1 0").status == 201
    refused(someone.get(stream_id="s5", message="/count 1 0"), "rate_limited")


def test_new_anonymous_identities_of_one_address_share_its_messages(limited: Serve, sqlite_url: str) -> None:
    server = limited(STREAM_OPEN_ACCESS="0", STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS="3")
    answers = [session(server)[0].begin(stream_id="s1", message="/count 1 0") for _ in range(5)]
    assert [answer.status for answer in answers] == [201, 201, 201, 429, 429]
    assert 3540 < refused(answers[-1], "rate_limited") <= 3600
    [(addresses,)] = rows(sqlite_url, "SELECT count(DISTINCT address) FROM streaming_stream")
    assert addresses == 1
    assert rows(sqlite_url, "SELECT 1 FROM streaming_stream WHERE address LIKE '%127.0.0%'") == []


def test_behind_a_trusted_proxy_the_address_is_the_one_that_it_saw(limited: Serve) -> None:
    server = limited(STREAM_OPEN_ACCESS="0", **PER_ADDRESS, STREAM_TRUSTED_PROXIES="1")

    def start(forwarded: str) -> int:
        someone, _ = session(server)
        answer = someone.post({"message": "/count 1 0"}, headers={"X-Forwarded-For": forwarded})
        return answer.status

    assert start("203.0.113.1") == 200
    assert start("10.1.2.3, 203.0.113.1") == 429
    assert start("10.1.2.3, 203.0.113.2") == 200
    assert start("2001:db8:1:2::1") == 200
    assert start("[2001:db8:1:2:3::1]:443") == 429
    assert start("2001:db8:1:3::1") == 200


def test_without_a_trusted_proxy_the_header_is_not_looked_at(limited: Serve) -> None:
    server = limited(STREAM_OPEN_ACCESS="0", **PER_ADDRESS)
    statuses = []
    for number in range(2):
        someone, _ = session(server)
        answer = someone.post({"message": "/count 1 0"}, headers={"X-Forwarded-For": f"203.0.113.{number}"})
        statuses.append(answer.status)
    assert statuses == [200, 429]


def test_an_owner_has_so_many_live_streams(limited: Serve, sqlite_url: str, user: str) -> None:
    server = limited(STREAM_MAX_CONCURRENT_PER_USER="2")
    anyone = client(server)
    for name in ("s1", "s2"):
        assert anyone.begin(user_id=user, stream_id=name, message="/sleep 60").status == 201
    refused(anyone.begin(user_id=user, stream_id="s3", message="/sleep 60"), "too_many_streams")
    refused(anyone.get(user_id=user, stream_id="s3", message="/sleep 60"), "too_many_streams")
    leaves_nothing(sqlite_url, "s3")
    assert anyone.begin(user_id=fresh("u"), stream_id="s3", message="/count 1 0").status == 201
    assert anyone.send("DELETE", f"{STREAM}/s1?user_id={user}").status == 200
    assert anyone.begin(user_id=user, stream_id="s3", message="something else").status == 201


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_an_owner_has_so_many_open_connections(limited: Serve, sqlite_url: str, user: str, kind: str) -> None:
    anyone = client(limited(kind=kind, STREAM_MAX_CONNECTIONS_PER_USER="2"))
    anyone.begin(user_id=user, stream_id="s1", message="/sleep 60")
    target = f"{STREAM}?user_id={user}&stream_id=s1"
    with ExitStack() as readers:
        for _ in range(2):
            assert readers.enter_context(anyone.open("GET", target)).status == 200
        refused(anyone.get(user_id=user, stream_id="s1"), "too_many_streams")
        refused(anyone.get(user_id=user, stream_id="s2", message="/count 1 0"), "too_many_streams")
        leaves_nothing(sqlite_url, "s2")
        # What opens no connection goes on, and so does what is told before.
        assert anyone.begin(user_id=user, stream_id="s3", message="/count 1 0").status == 201
        end = anyone.closed("s3", user_id=user)["last_event_id"]
        assert anyone.get(user_id=user, stream_id="s3", last_event_id=end).status == 204
        assert anyone.get(user_id=user, stream_id="s1", last_event_id=99).status == 409
        assert anyone.get(user_id=user, stream_id="s2", last_event_id=0).status == 404
    # The server notices after a moment that they have left.
    statuses = (anyone.get(user_id=user, stream_id="s3").status for _ in range(500))
    assert 200 in statuses


def test_a_budget_of_a_day_is_what_answers_cost_and_may_cost(limited: Serve, sqlite_url: str, user: str) -> None:
    # "/count 1000 0": 4 tokens of prompt at 0.15e-6, 1000 of answer at 0.60e-6; the bound of the prompt is 48 tokens.
    server = limited(STREAM_BUDGET_USD_PER_DAY="0.0013")
    anyone = client(server)
    assert anyone.begin(user_id=user, stream_id="s1", message="/count 1000 0").status == 201
    assert anyone.closed("s1", user_id=user)["total_cost"] == pytest.approx(0.0006005, abs=2e-7)
    assert anyone.begin(user_id=user, stream_id="s2", message="/sleep 60").status == 201
    [(reserved,)] = rows(sqlite_url, "SELECT sum(reserved_pico_usd) FROM streaming_costrecord")
    assert reserved > 0
    assert anyone.begin(user_id=user, stream_id="s3", message="/count 1000 0").status == 201
    anyone.closed("s3", user_id=user)
    after = refused(anyone.begin(user_id=user, stream_id="s4", message="/count 1000 0"), "budget_exceeded")
    assert abs(after - until_midnight()) < 60
    leaves_nothing(sqlite_url, "s4")
    assert anyone.begin(user_id=user, stream_id="s4", message="/count 1000 0", max_tokens=10).status == 201
    assert anyone.begin(user_id=fresh("u"), stream_id="s4", message="/count 1000 0").status == 201
    anyone.send("DELETE", f"{STREAM}/s2?user_id={user}")
    anyone.closed("s4", user_id=user)
    [(reserved,)] = rows(sqlite_url, f"SELECT sum(reserved_pico_usd) FROM {COSTS} WHERE user_id = '{user}'")
    assert reserved == 0


COSTS = "streaming_costrecord c JOIN streaming_stream s ON s.id = c.stream_id"


def test_what_only_live_streams_hold_back_comes_back_soon(limited: Serve, user: str) -> None:
    anyone = client(limited(STREAM_BUDGET_USD_PER_DAY="0.001"))
    assert anyone.begin(user_id=user, stream_id="s1", message="/count 1000 1").status == 201
    assert refused(anyone.begin(user_id=user, stream_id="s2", message="/count 1000 0"), "budget_exceeded") == 5
    anyone.send("DELETE", f"{STREAM}/s1?user_id={user}")
    assert anyone.begin(user_id=user, stream_id="s2", message="/count 1000 0").status == 201


def test_a_budget_of_all_together(limited: Serve, sqlite_url: str) -> None:
    anyone = client(limited(STREAM_BUDGET_USD_PER_DAY_TOTAL="0.0013"))
    statuses = []
    for _ in range(3):
        owner = fresh("u")
        statuses.append(anyone.begin(user_id=owner, stream_id="s1", message="/count 1000 0").status)
        if statuses[-1] == 201:
            anyone.closed("s1", user_id=owner)
    assert statuses == [201, 201, 429]


def test_new_anonymous_identities_of_one_address_share_its_budget(limited: Serve) -> None:
    server = limited(STREAM_OPEN_ACCESS="0", STREAM_BUDGET_USD_PER_DAY="0.0013")
    answers = []
    for _ in range(4):
        someone, _ = session(server)
        answers.append(someone.begin(stream_id="s1", message="/count 1000 0"))
        if answers[-1].status == 201:
            someone.closed("s1")
    assert [answer.status for answer in answers] == [201, 201, 429, 429]
    refused(answers[-1], "budget_exceeded")


def test_with_a_budget_a_model_without_a_price_is_refused(limited: Serve, sqlite_url: str, user: str) -> None:
    named = {"STREAM_OPENAI_COMPATIBLE": "local=http://127.0.0.1:9/v1", "LOCAL_MODELS": "mine"}
    anyone = client(limited(STREAM_BUDGET_USD_PER_DAY="5", **named))
    asked = {"user_id": user, "stream_id": "s1", "message": "hello"}
    refused(anyone.begin(**asked, model="local/mine"), "budget_exceeded")
    leaves_nothing(sqlite_url, "s1")
    assert anyone.begin(**asked, model="demo").status == 201


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, sqlite: Any) -> Iterator[tuple[Server, str]]:
    """A server at whose every limit one owner is."""
    options = {"STREAM_MAX_CONCURRENT_PER_USER": "1", "DEMO_TOKENS_PER_SECOND": "0", "STREAM_MAX_STREAMS": "1"}
    server = Server(sqlite.new(), tmp_path_factory.mktemp("full"), **options)  # type: ignore[arg-type]
    try:
        server.start().begin("live", "/sleep 100")
        yield server, "u1"
    finally:
        server.kill()


def test_everything_else_is_told_before_429_and_429_before_503(full: tuple[Server, str]) -> None:
    server, user = full
    anyone: Client = client(server)
    asked = {"user_id": user, "stream_id": "new", "message": "/count 1 0"}
    assert anyone.begin(**asked, temperature="hot").status == 400
    assert anyone.post(asked, headers={"Authorization": f"Bearer {CANARY_KEY}"}).status == 401
    assert anyone.post(asked, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert anyone.begin(**asked, last_event_id=0).status == 404
    assert anyone.begin(**asked, parent_id=fresh()).status == 404
    assert anyone.begin(**{**asked, "stream_id": "live"}).status == 409
    refused(anyone.begin(**asked), "too_many_streams")
    refused(anyone.begin(**asked, model=MODEL), "too_many_streams")
    assert anyone.begin(**{**asked, "user_id": fresh("u")}, model=MODEL).status == 503
    assert anyone.begin(**{**asked, "user_id": fresh("u")}).status == 503
    assert anyone.begin(user_id=user, stream_id="live", message="/sleep 100").status == 200


def test_a_continuation_counts_as_a_message(limited: Callable[..., Server]) -> None:
    someone, _ = session(limited(STREAM_OPEN_ACCESS="0", STREAM_QUOTA_MESSAGES_PER_HOUR="2"))
    someone.post({"stream_id": "s1", "message": "/count 9 0", "max_tokens": 1})
    assert someone.post({"stream_id": "s2", "continues": "s1"}).status == 200
    refused(someone.begin(stream_id="s3", continues="s2"), "rate_limited")
    assert someone.snapshot("s3").status == 404
