"""A price of one's own, from a date on; a model without any price costs an unknown amount, never nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.frames import read_all
from tests.servers import Server
from tests.upstream import Script, Upstream

MODEL = "openai/never-heard-of"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
    with Upstream(script=Script(usage=usage)) as started:
        yield started


def _execute(url: str, statement: str, *values: Any) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(statement, values)]


def _set_price(url: str, days: int, input_usd: str, cached_usd: str | None = None) -> None:
    starts = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")
    _execute(
        url,
        "INSERT INTO streaming_modelprice (provider, model, starts_at, input_usd, output_usd, cached_input_usd)"
        " VALUES ('openai', ?, ?, ?, '10', ?)",
        MODEL,
        starts,
        input_usd,
        cached_usd,
    )


def test_the_newest_price_that_has_begun_is_billed(
    sqlite_url: str, serve: Callable[..., Server], upstream: Upstream
) -> None:
    server = serve(sqlite_url, OPENAI_API_KEY="k", OPENAI_BASE_URL=upstream.url)

    def ask(stream_id: str) -> dict[str, Any]:
        return read_all(server.url, user_id="u1", stream_id=stream_id, message="hello", model=MODEL)[-1].data

    unknown = ask("s1")
    assert (unknown["cost_state"], unknown["total_cost"], unknown["total_tokens"]) == ("unknown", None, 1100)
    _set_price(sqlite_url, -10, "4")
    _set_price(sqlite_url, -1, "2.5", "1.25")
    _set_price(sqlite_url, +1, "99")
    assert ask("s2")["total_cost"] == 600 * 2.5e-6 + 400 * 1.25e-6 + 100 * 10e-6
    _set_price(sqlite_url, 0, "1")
    assert ask("s3")["total_cost"] == 1000 * 1e-6 + 100 * 10e-6
    records = _execute(sqlite_url, "SELECT * FROM streaming_costrecord ORDER BY stream_id")
    assert [record["total_pico_usd"] for record in records] == [None, 3_000_000_000, 2_000_000_000]
    assert [record["input_price"] for record in records] == [None, 2_500_000, 1_000_000]
    assert [record["cached_input_price"] for record in records] == [None, 1_250_000, 1_000_000]
    assert records[1]["price_source"].startswith("ModelPrice ")
    assert (server.snapshot("s1")["cost_state"], server.snapshot("s1")["total_cost"]) == ("unknown", None)
