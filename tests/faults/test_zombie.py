"""A producer that was paused beyond its lease, and comes back."""

from __future__ import annotations

import json
import signal
import time
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import MODEL, NewDatabase, ServeTwo
from tests.faults.recorder import Recorder
from tests.faults.records import Records
from tests.faults.wire import Crowd, replay
from tests.servers import Server, rows_of_open_streams
from tests.upstream import Upstream

LONG = json.dumps({"count": 3000, "delay_ms": 20})
STALLED = json.dumps({"count": 5, "stall_after": 3})


def pause(server: Server, records: Records) -> None:
    """SIGSTOP between two transactions: whoever is stopped within one keeps its locks, see the test of that."""
    while True:
        server.send(signal.SIGSTOP)
        while not _stands_still(server):
            time.sleep(0.001)
        if records.is_writable() if records.is_sqlite else not _stuck(records):
            return
        server.send(signal.SIGCONT)
        time.sleep(0.01)


def _stands_still(server: Server) -> bool:
    """Whether every thread is stopped; the signal alone does not wait for that."""
    states = (task.read_text().rpartition(") ")[2][0] for task in Path(f"/proc/{server.pid}/task").glob("*/stat"))
    return all(state == "T" for state in states)


def wait_for_session(records: Records, condition: str) -> None:
    """Wait until a session of the database meets a condition on ``pg_stat_activity``."""
    deadline = time.monotonic() + 10
    while not records.sessions(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)


def _stuck(records: Records) -> set[int]:
    busy = [set(records.sessions("state <> 'idle'")) for _ in range(10)]
    return set.intersection(*busy)


def test_a_paused_producer_that_comes_back_adds_nothing_and_shows_its_readers_the_same_end(
    database_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    paused, other = serve_two(database_url, STREAM_LEASE_SECONDS="3", STREAM_HEARTBEAT_SECONDS="1")
    records = Records(database_url)
    recorder = Recorder(records, upstream)
    streams = ("long", "stalled", "demo")
    recorder.started(*streams)
    paused.begin("long", LONG, model=MODEL, system="long")
    upstream.wait_for(lambda calls: len(calls) == 1)
    paused.begin("stalled", STALLED, model=MODEL, system="stalled")
    paused.begin("demo", "/count 3000 40")
    here = [crowd.read(paused.url, stream_id=stream, user_id="u1") for stream in streams]
    there = [crowd.read(other.url, stream_id=stream, user_id="u1") for stream in streams]
    crowd.wait_for_frames(4, *here, *there)

    pause(paused, records)
    recorder.died(streams)
    crowd.wait_for_end(*there, timeout=15)
    recorder.sample()
    heads = [records.head(stream) for stream in streams]
    assert all(head["closed"] for head in heads)
    paused.send(signal.SIGCONT)

    crowd.wait_for_end(*here, timeout=15)
    for stream, mine, theirs in zip(streams, here, there, strict=True):
        mine.check()
        theirs.check()
        assert theirs.frames[-1].data["error_type"] == "interrupted"
        assert mine.raw == theirs.raw
        whole = replay([paused.url, other.url], stream_id=stream, user_id="u1")
        assert {tape.raw for tape in whole} == {mine.raw}
    assert [upstream.wait_for_end(number).ended for number in (1, 2)] == ["client_left"] * 2
    fresh = crowd.read(paused.url, stream_id="fresh", user_id="u1", message="/count 30 0")
    recorder.started("fresh")
    crowd.wait_for_end(fresh)
    assert fresh.frames[-1].type == "done"
    recorder.check(crowd.tapes)
    assert [records.head(stream) for stream in streams] == heads
    assert [records.count_terminals(stream) for stream in streams] == [1, 1, 1]
    assert len(upstream.calls) == 2


def test_a_paused_producer_adds_nothing_though_the_events_were_sealed_away_meanwhile(
    database_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    """The head is the fence: with the rows gone, no unique key is left to refuse an append."""
    paused, other = serve_two(database_url, STREAM_LEASE_SECONDS="3")
    records = Records(database_url)
    paused.begin("s1", LONG, model=MODEL)
    tape = crowd.read(other.url, stream_id="s1", user_id="u1")
    crowd.wait_for_frames(4, tape)
    pause(paused, records)
    crowd.wait_for_end(tape, timeout=15)
    records.rows("DELETE FROM streaming_streamevent")
    head = records.head("s1")
    paused.send(signal.SIGCONT)
    assert upstream.wait_for_end(1).ended == "client_left"
    fresh = crowd.read(paused.url, stream_id="fresh", user_id="u1", message="/count 30 0")
    crowd.wait_for_end(fresh)
    assert records.head("s1") == head
    assert records.rows("SELECT * FROM streaming_streamevent WHERE stream_id = ?", head["stream_id"]) == []


@rows_of_open_streams
def test_a_producer_that_is_paused_within_a_transaction_does_not_keep_others_from_writing(
    postgresql_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    paused, other = serve_two(postgresql_url, STREAM_LEASE_SECONDS="1.5", STREAM_SWEEP_SECONDS="0.25")
    records = Records(postgresql_url)
    paused.begin("s1", LONG, model=MODEL)
    orphan = crowd.read(other.url, stream_id="s1", user_id="u1")
    crowd.wait_for_frames(3, orphan)
    with psycopg.connect(postgresql_url) as session:
        # The producer's transaction has locked the head by SELECT FOR UPDATE, and waits here to move it.
        session.execute("LOCK TABLE streaming_streamhead IN SHARE MODE")
        wait_for_session(records, "wait_event_type = 'Lock' AND query LIKE 'UPDATE%%streamhead%%'")
        paused.send(signal.SIGSTOP)
        while not _stands_still(paused):
            time.sleep(0.001)
    try:
        # The server finishes the update once it has its lock; nobody is left to commit it.
        wait_for_session(records, "state = 'idle in transaction'")
        started = time.monotonic()
        mine = crowd.read(other.url, stream_id="s2", user_id="u1", message="/count 200 40")
        crowd.wait_for_end(mine, orphan, timeout=20)
        assert mine.frames[-1].type == "done"
        assert orphan.frames[-1].data["error_type"] == "interrupted"
        assert orphan.times[-1] - started < 15
        assert max(later - earlier for earlier, later in pairwise(mine.times)) < 1.2, "its own stream was held up"
    finally:
        paused.send(signal.SIGCONT)
    assert upstream.wait_for_end(1).ended == "client_left"
    assert "producer broke" not in paused.log_text()
    assert {tape.raw for tape in replay([paused.url, other.url], stream_id="s1", user_id="u1")} == {orphan.raw}


@pytest.fixture
def postgresql_url(new_database: NewDatabase) -> str:
    """A new PostgreSQL database."""
    return new_database("postgresql")
