"""What a dead process left open is closed: however old, however many, and whatever one of them has."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.records import Records
from tests.frames import read_all
from tests.servers import Server

Serve = Callable[..., Server]


def _last(server: Server, stream_id: str) -> dict[str, object]:
    return read_all(server.url, user_id="u1", stream_id=stream_id)[-1].data


def test_a_stream_that_a_backup_brought_back_after_years_is_closed_like_any_other(
    database_url: str, serve: Serve
) -> None:
    server = serve(database_url, STREAM_LEASE_SECONDS="3")
    server.begin("old", "/sleep 60")
    server.begin("new", "/sleep 60")
    server.kill()
    Records(database_url).rows(
        "UPDATE streaming_stream SET created_at = ? WHERE stream_id = ?", "2019-01-01 00:00:00+00:00", "old"
    )
    server.start()
    assert [_last(server, name)["error_type"] for name in ("old", "new")] == ["interrupted", "interrupted"]
    assert server.snapshot("old")["latency_ms"] == 2**31 - 1


def test_one_that_cannot_be_closed_holds_up_no_other(database_url: str, serve: Serve) -> None:
    server = serve(database_url, STREAM_LEASE_SECONDS="3")
    for name in ("broken", "fine"):
        server.begin(name, "/sleep 60")
    server.kill()
    Records(database_url).rows(
        "DELETE FROM streaming_costrecord WHERE stream_id = (SELECT id FROM streaming_stream WHERE stream_id = ?)",
        "broken",
    )
    server.start()
    assert _last(server, "fine")["error_type"] == "interrupted"
    assert "cannot close an orphan" in server.log_text()


def test_hundreds_are_closed_in_time_and_the_closers_own_stream_goes_on(database_url: str, serve: Serve) -> None:
    dying, living = (serve(database_url, STREAM_LEASE_SECONDS="3") for _ in range(2))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: dying.begin(f"s{n}", "/sleep 100"), range(300)))
    living.begin("own", "/count 150 10")
    dying.kill()
    killed = time.monotonic()
    records = Records(database_url)
    query = "SELECT count(*) AS open FROM streaming_streamhead WHERE NOT closed"
    while records.rows(query)[0]["open"] > 1 and time.monotonic() - killed < 15:
        time.sleep(0.1)
    assert time.monotonic() - killed < 15
    assert _last(living, "own")["finish_reason"] == "stop"
    errors = records.rows("SELECT error_type, count(*) AS streams FROM streaming_stream GROUP BY error_type")
    assert {row["error_type"]: row["streams"] for row in errors} == {"interrupted": 300, "": 1}
    pending = records.rows("SELECT count(*) AS pending FROM streaming_costrecord WHERE state = 'pending'")
    assert pending[0]["pending"] == 0


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_a_cancel_counts_whose_client_is_gone_before_it_is_through(kind: str, sqlite_url: str, serve: Serve) -> None:
    server = serve(sqlite_url, kind=kind)
    for number in range(5):
        name = f"s{number}"
        server.begin(name, "/sleep 100")
        head = f"POST /api/v1/stream/{name}/cancel?user_id=u1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode())
        assert _last(server, name)["finish_reason"] == "cancelled"
