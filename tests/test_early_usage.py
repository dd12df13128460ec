"""What a provider tells of the prompt before its answer is complete is billed also when the answer is cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.frames import connect, read_all
from tests.servers import Server
from tests.upstream import Script, Upstream

START = {"input_tokens": 100, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30, "output_tokens": 1}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


def _serve(serve: Callable[..., Server], url: str, upstream: Upstream, **env: str) -> Server:
    base = upstream.url.removesuffix("/v1")
    return serve(url, ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=base, STREAM_DEFAULT_MODEL="claude-haiku-4-5", **env)


def _record(url: str, stream_id: str) -> dict[str, Any]:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.row_factory = sqlite3.Row
        query = "SELECT c.* FROM streaming_costrecord c JOIN streaming_stream s ON s.id = c.stream_id"
        row = connection.execute(f"{query} WHERE s.stream_id = ?", (stream_id,)).fetchone()
    connection.close()
    return dict(row)


def _check(record: dict[str, Any], completion_tokens: int) -> None:
    assert record["state"] == "estimated"
    assert (record["prompt_tokens"], record["cached_tokens"], record["cache_write_tokens"]) == (190, 60, 30)
    assert record["completion_tokens"] == completion_tokens
    assert record["total_pico_usd"] == (
        100 * record["input_price"]
        + 60 * record["cached_input_price"]
        + 30 * record["cache_write_price"]
        + completion_tokens * record["output_price"]
    )


def test_of_an_answer_that_breaks_off(sqlite_url: str, serve: Callable[..., Server], upstream: Upstream) -> None:
    upstream.queue(Script(count=10, cut_after=4, start_usage=START))
    server = _serve(serve, sqlite_url, upstream)
    last = read_all(server.url, user_id="u1", stream_id="s1", message="hello")[-1]
    assert last.type == "error" and last.data["cost_state"] == "estimated"
    assert (last.data["prompt_tokens"], last.data["completion_tokens"]) == (190, 4)
    _check(_record(sqlite_url, "s1"), 4)


def test_of_an_answer_whose_server_is_killed(sqlite_url: str, serve: Callable[..., Server], upstream: Upstream) -> None:
    upstream.queue(Script(count=10, stall_after=4, start_usage=START))
    server = _serve(serve, sqlite_url, upstream, STREAM_LEASE_SECONDS="3")
    with connect(server.url, user_id="u1", stream_id="s1", message="hello") as (_, frames):
        for _ in range(4):
            next(frames)
    server.kill()
    server.start()
    last = read_all(server.url, user_id="u1", stream_id="s1")[-1]
    assert last.data["error_type"] == "interrupted"
    assert (last.data["prompt_tokens"], last.data["completion_tokens"]) == (190, 4)
    _check(_record(sqlite_url, "s1"), 4)
    assert len(upstream.calls) == 1


def test_of_a_complete_answer_the_final_usage_counts(
    sqlite_url: str, serve: Callable[..., Server], upstream: Upstream
) -> None:
    upstream.queue(Script(count=10, start_usage=START))
    server = _serve(serve, sqlite_url, upstream)
    last = read_all(server.url, user_id="u1", stream_id="s1", message="hello")[-1]
    assert (last.type, last.data["cost_state"]) == ("done", "provider")
    assert last.data["prompt_tokens"] == 190
    assert _record(sqlite_url, "s1")["state"] == "provider"
