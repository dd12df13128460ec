"""The database out of reach for a while, and a log whose end falls back."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.faults.byte_proxy import ByteProxy
from tests.faults.conftest import MODEL, NewDatabase, Serve, ServeTwo
from tests.faults.records import Records
from tests.faults.test_zombie import pause
from tests.faults.wire import Crowd, Tape, replay
from tests.frames import text_of
from tests.servers import Server, rows_of_open_streams
from tests.upstream import Upstream

COUNT = 150
TEXT = "".join(f"{number} " for number in range(1, COUNT + 1))
SCRIPT = json.dumps({"count": COUNT, "delay_ms": 20, "stall_after": COUNT - 1})
"""It ends once the upstream releases it: never before the harm is done, however long that takes."""

ALWAYS_WRITES = {"STREAM_HEARTBEAT_SECONDS": "0.2"}
"""For servers whose appends are to be met: also once the script has no more to say."""


def until(condition: Callable[[], object], timeout: float = 20) -> None:
    """Wait for a condition that nobody announces."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def begin_with_readers(producer: Server, other: Server, crowd: Crowd) -> list[Tape]:
    """A stream on one process, with readers on both."""
    producer.begin("s1", SCRIPT, model=MODEL)
    tapes = [crowd.read(server.url, stream_id="s1", user_id="u1") for server in (producer, producer, other, other)]
    crowd.wait_for_frames(20, *tapes)
    return tapes


def check_whole(tapes: list[Tape], servers: list[Server]) -> None:
    """Every reader has had the whole answer in its one connection; so has the log."""
    for tape in tapes:
        tape.check()
        assert (tape.ended, tape.frames[-1].type) == ("clean", "done")
        assert text_of(tape.frames) == TEXT
    assert {tape.raw for tape in replay([server.url for server in servers], stream_id="s1", user_id="u1")} == {
        tapes[0].raw
    }
    assert len({tape.raw for tape in tapes}) == 1


@pytest.fixture
def postgresql_url(new_database: NewDatabase) -> str:
    """A new PostgreSQL database."""
    return new_database("postgresql")


def test_a_stream_goes_on_after_postgresql_was_out_of_reach(
    postgresql_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    servers = serve_two(postgresql_url)
    records = Records(postgresql_url)
    tapes = begin_with_readers(servers[0], servers[1], crowd)
    records.allow_connections(False)
    try:
        records.terminate()
        until(lambda: servers[0].log_text().count("database out of reach") >= 4)
        until(lambda: "cannot look at the heads" in servers[1].log_text())
        assert servers[0].get("/ready").status_code == 503
        upstream.release()
        upstream.wait_for_end(1)
        assert not any(tape.closes for tape in tapes)
    finally:
        records.allow_connections(True)
    crowd.wait_for_end(*tapes)
    check_whole(tapes, servers)
    assert upstream.calls[0].ended == "answered"
    assert Records(postgresql_url).cost("s1").state == "provider"


def test_ten_cuts_of_all_postgresql_connections_lose_and_double_nothing(
    postgresql_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    servers = serve_two(postgresql_url, **ALWAYS_WRITES)
    records = Records(postgresql_url)
    tapes = begin_with_readers(servers[0], servers[1], crowd)
    for _ in range(10):
        seen = len(tapes[0].frames)
        records.terminate()
        crowd.wait_for(lambda seen=seen: len(tapes[0].frames) > seen)  # type: ignore[misc]
    upstream.release()
    crowd.wait_for_end(*tapes)
    check_whole(tapes, servers)


@pytest.mark.parametrize("statement", ["COPY streaming_streamevent", "UPDATE streaming_streamhead"])
def test_a_connection_that_ends_in_the_middle_of_an_append_loses_nothing(
    postgresql_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd, statement: str
) -> None:
    servers = serve_two(postgresql_url, **ALWAYS_WRITES)
    records = Records(postgresql_url)
    tapes = begin_with_readers(servers[0], servers[1], crowd)
    with psycopg.connect(postgresql_url) as session:
        session.execute(f"LOCK TABLE {statement.split()[1]} IN SHARE MODE".encode())
        waiting = f"wait_event_type = 'Lock' AND query LIKE '{statement}%%'"
        until(lambda: records.sessions(waiting))
        records.terminate(*records.sessions(waiting))
    upstream.release()
    crowd.wait_for_end(*tapes)
    check_whole(tapes, servers)


@rows_of_open_streams
def test_a_reader_whose_query_is_cut_off_goes_on(
    postgresql_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    producer, other = serve_two(postgresql_url)
    records = Records(postgresql_url)
    producer.begin("s1", SCRIPT, model=MODEL)
    here = crowd.read(producer.url, stream_id="s1", user_id="u1")
    crowd.wait_for_frames(20, here)
    with psycopg.connect(postgresql_url) as session:
        session.execute(b"LOCK TABLE streaming_streamevent IN ACCESS EXCLUSIVE MODE")
        there = crowd.read(other.url, stream_id="s1", user_id="u1")
        waiting = "wait_event_type = 'Lock' AND query LIKE 'SELECT event_id%%'"

        def is_told() -> bool:
            """The first read that is cut off is made again at once; of the second there is a line."""
            for pid in records.sessions(waiting):
                records.terminate(pid)
            return "cannot read" in other.log_text()

        until(is_told)
    upstream.release()
    crowd.wait_for_end(here, there)
    check_whole([here, there], [producer, other])


def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_doubled(
    postgresql_url: str, serve: Serve, upstream: Upstream, crowd: Crowd
) -> None:
    other = serve(postgresql_url)
    address = psycopg.conninfo.conninfo_to_dict(postgresql_url)
    with ByteProxy(int(address["port"] or 5432), scheme="postgres") as proxy:
        through = postgresql_url.replace(f":{address['port']}/", f":{proxy.port}/")
        assert through != postgresql_url
        producer = serve(through, **ALWAYS_WRITES)
        tapes = begin_with_readers(producer, other, crowd)
        for _ in range(5):
            proxy.lose_reply_to(b"COMMIT")
            proxy.wait_for_lost_reply()
        upstream.release()
        crowd.wait_for_end(*tapes)
        check_whole(tapes, [producer, other])
        assert producer.log_text().count("database out of reach") >= 5


def test_a_stream_goes_on_after_sqlite_was_locked_for_7_seconds(
    sqlite_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    servers = serve_two(sqlite_url)
    records = Records(sqlite_url)
    tapes = begin_with_readers(servers[0], servers[1], crowd)
    with records.sqlite() as connection:
        connection.execute("BEGIN EXCLUSIVE")
        locked = time.monotonic()
        upstream.release()
        upstream.wait_for_end(1)
        until(lambda: "database out of reach" in servers[0].log_text())
        assert not any(tape.closes for tape in tapes)
        until(lambda: time.monotonic() - locked >= 7)
        connection.execute("ROLLBACK")
    crowd.wait_for_end(*tapes)
    check_whole(tapes, servers)
    assert records.cost("s1").state == "provider"


def test_after_an_outage_others_are_given_time_to_renew_their_leases(
    sqlite_url: str, serve: Serve, crowd: Crowd
) -> None:
    lease = 6.0
    settings = {"STREAM_LEASE_SECONDS": str(lease), "STREAM_SWEEP_SECONDS": "0.1"}
    producer, other = serve(sqlite_url, **settings), serve(sqlite_url, **settings)
    records = Records(sqlite_url)

    def renewed() -> list[float]:
        return [row["renewed"] for row in records.rows("SELECT renewed FROM streaming_process ORDER BY id")]

    producer.begin("s1", "/count 300 25")
    tapes = [crowd.read(server.url, stream_id="s1", user_id="u1") for server in (producer, other)]
    crowd.wait_for_frames(3, *tapes)
    pause(producer, records)
    # Only once it is paused: how far apart the two renew is otherwise a matter of when each was started.
    until(lambda: renewed()[1] - renewed()[0] > 0.5)
    with records.sqlite() as connection:
        connection.execute("BEGIN EXCLUSIVE")
        # The producer's lease has run out, and the other process's own has not; it looks before it renews that.
        until(lambda: time.monotonic() - renewed()[0] > lease + 0.4)
        connection.execute("ROLLBACK")
    before = renewed()[1]
    until(lambda: renewed()[1] > before)
    time.sleep(0.5)  # five times as long as who looks without giving time would take; it is given 2 s
    producer.send(signal.SIGCONT)
    crowd.wait_for_end(*tapes)
    assert {tape.frames[-1].type for tape in tapes} == {"done"}
    assert tapes[0].raw == tapes[1].raw


def test_a_reader_that_is_ahead_of_a_log_that_fell_back_is_disconnected_and_then_refused(
    database_url: str, serve_two: ServeTwo, crowd: Crowd
) -> None:
    # Nobody is to close what the dead process left.
    producer, other = serve_two(database_url, STREAM_LEASE_SECONDS="600")
    producer.begin("s1", "/sleep 100")
    producer.kill()
    records = Records(database_url)
    grow(records, 10)
    tape = crowd.read(other.url, stream_id="s1", user_id="u1")
    crowd.wait_for_frames(10, tape)
    records.fall_back("s1", 5)
    fell_back = time.monotonic()
    crowd.wait_for_end(tape, timeout=10)
    assert tape.ended_at - fell_back < 2
    assert (tape.ended, tape.closes) == ("clean", False)
    refused = other.get("/api/v1/stream", stream_id="s1", user_id="u1", last_event_id=tape.last_event_id)
    assert (refused.status_code, refused.json()["error_type"]) == (409, "ahead_of_log")
    assert refused.json()["latest_event_id"] == 4


@rows_of_open_streams
def test_readers_of_a_live_stream_whose_log_fell_back_are_disconnected_on_every_process(
    database_url: str, serve_two: ServeTwo, crowd: Crowd
) -> None:
    """The producer notices first, and closes the log behind its readers' places."""
    servers = serve_two(database_url)
    servers[0].begin("s1", "/count 4000 40")
    tapes = [crowd.read(server.url, stream_id="s1", user_id="u1") for server in servers]
    crowd.wait_for_frames(20, *tapes)
    Records(database_url).fall_back("s1", 5)
    fell_back = time.monotonic()
    crowd.wait_for_end(*tapes, timeout=10)
    assert max(tape.ended_at for tape in tapes) - fell_back < 2
    assert {(tape.ended, tape.closes) for tape in tapes} == {("clean", False)}
    [whole] = replay([servers[1].url], stream_id="s1", user_id="u1")
    assert whole.frames[-1].data["error_type"] == "internal"
    assert whole.frames[-1].event_id <= tapes[0].last_event_id


def grow(records: Records, count: int) -> None:
    """Append events to ``s1`` past the service."""
    key = records.head("s1")["stream_id"]
    data = json.dumps({"content": "x", "tokens": 1, "cost_usd": 0}, separators=(",", ":"))
    for event_id in range(records.head("s1")["next_event_id"], count):
        records.rows(
            "INSERT INTO streaming_streamevent (stream_id, event_id, type, data, elapsed_ms) VALUES (?, ?, 1, ?, 0)",
            *(key, event_id, data),
        )
    records.rows("UPDATE streaming_streamhead SET next_event_id = ? WHERE stream_id = ?", count, key)
