"""PostgreSQL is restarted under live streams, with readers on two processes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.databases import manage
from tests.faults.conftest import MODEL, ServeTwo
from tests.faults.records import Records
from tests.faults.test_outage import ALWAYS_WRITES, until
from tests.faults.wire import Crowd
from tests.frames import text_of
from tests.postgres_server import PostgresServer
from tests.upstream import Upstream

COUNT = 200
STREAMS = ("s1", "s2", "s3")


@pytest.fixture
def database() -> Iterator[tuple[PostgresServer, str]]:
    """A PostgreSQL of one's own, and a migrated database of it."""
    server = PostgresServer()
    try:
        url = server.start().new()
        manage(url, "migrate", "--verbosity=0")
        yield server, url
    finally:
        server.discard()


def test_a_restart_and_a_crash_of_postgresql_lose_and_double_nothing(
    database: tuple[PostgresServer, str], serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    postgresql, url = database
    # The streams go on, with heartbeats at last, until both are over, however long PostgreSQL takes to start.
    servers = serve_two(url, "daphne", "uvicorn", **ALWAYS_WRITES)
    script = json.dumps({"count": COUNT, "delay_ms": 20, "stall_after": COUNT - 1})
    for number, stream in enumerate(STREAMS):
        servers[number % 2].begin(stream, script, model=MODEL)
    tapes = [crowd.read(server.url, stream_id=stream, user_id="u1") for stream in STREAMS for server in servers]
    crowd.wait_for_frames(20, *tapes)
    for mode in ("fast", "immediate"):
        seen = min(len(tape.frames) for tape in tapes)
        postgresql.stop(mode)
        until(lambda: all(server.get("/ready").status_code == 503 for server in servers))
        assert not any(tape.closes for tape in tapes)
        postgresql.start()
        crowd.wait_for_frames(seen + 20, *tapes)
    upstream.release()
    crowd.wait_for_end(*tapes)
    records = Records(url)
    for stream in STREAMS:
        told = [tape for tape in tapes if tape.stream_id == stream]
        for tape in told:
            tape.check()
            assert (tape.ended, tape.frames[-1].type) == ("clean", "done")
            assert text_of(tape.frames) == "".join(f"{number} " for number in range(1, COUNT + 1))
        assert len({tape.raw for tape in told}) == 1
        head = records.head(stream)
        assert (head["closed"], head["next_event_id"]) == (True, len(told[0].frames))
        assert records.count_terminals(stream) == 1
        assert records.cost(stream).state == "provider"
    assert len(upstream.calls) == len(STREAMS)
    # Whoever listened does so again.
    with_listeners = "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
    until(lambda: records.rows(with_listeners)[0]["n"] == 2)
