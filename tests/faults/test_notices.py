"""Notices between the processes on one PostgreSQL: they wake at once, and may be lost without harm."""

from __future__ import annotations

import json
import time

import pytest

from tests.faults.conftest import MODEL, NewDatabase, ServeTwo
from tests.faults.records import Records
from tests.faults.test_outage import begin_with_readers, check_whole, until
from tests.faults.wire import Crowd
from tests.servers import Server
from tests.upstream import Upstream

RARE_LOOKS = {
    "application": "tests.faults.rare_looks:application",
    # Who shares the database is told with the renewals.
    "STREAM_LEASE_SECONDS": "3",
}
LISTENING = "query LIKE 'LISTEN%%'"


@pytest.fixture
def records(new_database: NewDatabase) -> Records:
    """A new PostgreSQL database."""
    return Records(new_database("postgresql"))


def renewed(records: Records) -> list[float]:
    return [row["renewed"] for row in records.rows("SELECT renewed FROM streaming_process ORDER BY id")]


@pytest.fixture
def pair(records: Records, serve_two: ServeTwo) -> list[Server]:
    """Two processes that know of each other and look rarely."""
    servers = serve_two(records.url, "daphne", "uvicorn", **RARE_LOOKS)
    met = renewed(records)
    until(lambda: all(now > then for now, then in zip(renewed(records), met, strict=True)))
    until(lambda: len(records.sessions(LISTENING)) == 2)
    return servers


def test_an_event_wakes_the_readers_of_another_process_long_before_its_next_look(
    pair: list[Server], upstream: Upstream, crowd: Crowd
) -> None:
    tapes = begin_with_readers(pair[0], pair[1], crowd)
    upstream.release()
    crowd.wait_for_end(*tapes)
    check_whole(tapes, pair)
    here, there = tapes[0], tapes[2]
    late = sorted(b - a for a, b in zip(here.times, there.times, strict=True))
    assert late[len(late) // 2] < 2, "the next look comes after a minute"


def test_a_cancel_reaches_the_process_that_produces_at_once(pair: list[Server], crowd: Crowd) -> None:
    producer, other = pair
    producer.begin("s1", json.dumps({"count": 1000, "delay_ms": 100}), model=MODEL)
    tapes = [crowd.read(server.url, stream_id="s1", user_id="u1") for server in pair]
    crowd.wait_for_frames(1, *tapes)
    asked = time.monotonic()
    answer = other.post("/api/v1/stream/s1/cancel", {"user_id": "u1"})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    crowd.wait_for_end(*tapes)
    assert max(tape.ended_at for tape in tapes) - asked < 2
    assert [tape.frames[-1].data["finish_reason"] for tape in tapes] == ["cancelled"] * 2


def test_a_connection_that_listens_is_made_again_and_nothing_is_missed(
    pair: list[Server], records: Records, upstream: Upstream, crowd: Crowd
) -> None:
    tapes = begin_with_readers(pair[0], pair[1], crowd)
    for _ in range(3):
        cut = records.sessions(LISTENING)
        records.terminate(*cut)
        until(lambda cut=cut: len(set(records.sessions(LISTENING)) - set(cut)) == 2)  # type: ignore[misc]
    upstream.release()
    crowd.wait_for_end(*tapes)
    check_whole(tapes, pair)


def test_while_nobody_can_listen_the_looks_serve(
    records: Records, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    servers = serve_two(records.url)
    until(lambda: len(records.sessions(LISTENING)) == 2)
    tapes = begin_with_readers(servers[0], servers[1], crowd)
    records.allow_connections(False)
    try:
        records.terminate(*records.sessions(LISTENING))
        until(lambda: all("cannot listen" in server.log_text() for server in servers))
        upstream.release()
        crowd.wait_for_end(*tapes)
    finally:
        records.allow_connections(True)
    check_whole(tapes, servers)
    until(lambda: len(records.sessions(LISTENING)) == 2)
