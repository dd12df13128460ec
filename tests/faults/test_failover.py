"""A replica of Redis takes the place of its primary, behind the one address that the service knows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.byte_proxy import ByteProxy
from tests.faults.conftest import MODEL, NewDatabase, ServeTwo
from tests.faults.fleet import Fleet
from tests.faults.records import Records
from tests.faults.test_redis import Servers, attach, whole
from tests.faults.test_workers import together, when
from tests.faults.wire import Crowd, Tape
from tests.frames import text_of
from tests.redis_server import RedisServer
from tests.servers import Server
from tests.upstream import Upstream

COUNT = "/count 80 40"
LONG = "/count 2000 40"
ASKED = json.dumps({"count": 2000, "delay_ms": 25})
STALLS = json.dumps({"stall_after": 3})
TOLD_SECONDS = 2
"""A reader whose events are lost is disconnected within this time."""


class Pair:
    """A primary, its replica, and the proxies that they are reached through.

    ``address`` leads the service to one of them. ``link`` carries the replication: stalled, the replica lags.
    """

    def __init__(self, primary: RedisServer, replica: RedisServer, address: ByteProxy, link: ByteProxy) -> None:
        self.primary = primary
        self.replica = replica
        self.address = address
        self.link = link
        replica.follow(link.port)
        replica.wait_for(primary)

    def catch_up(self) -> None:
        """Let nobody reach the primary any more, and the replica have all that it has."""
        self.address.stall()
        self.replica.wait_for(self.primary)

    def fail_over(self) -> float:
        """The primary dies, and the replica takes its place; the moment from which it is reached."""
        self.primary.kill()
        self.replica.promote()
        return self.lead_to(self.replica)

    def lead_to(self, server: RedisServer) -> float:
        """New connections lead to a server, and those that are open break; the moment."""
        self.address.target = ("127.0.0.1", server.port)
        self.address.reset_all()
        self.address.go()
        return time.monotonic()


@pytest.fixture
def pair(own_redis: RedisServer, tmp_path: Path) -> Iterator[Pair]:
    """A primary and a replica that has all that the primary has."""
    folder = tmp_path / "replica"
    folder.mkdir()
    replica = RedisServer(folder)
    with ByteProxy(own_redis.port, scheme="redis") as address, ByteProxy(own_redis.port) as link:
        try:
            yield Pair(own_redis, replica.start(), address, link)
        finally:
            replica.kill()


@pytest.fixture
def serve_pair(serve_two: ServeTwo, new_database: NewDatabase, pair: Pair) -> Servers:
    """Two processes with one database of a kind, that know the pair's address: a producer, and another."""

    def start(database: str) -> tuple[Records, Server, Server]:
        url, lease = new_database(database), {"STREAM_LEASE_SECONDS": "3", "STREAM_HEARTBEAT_SECONDS": "1"}
        producer, other = serve_two(url, "daphne", "uvicorn", REDIS_URL=pair.address.url, **lease)
        return Records(url), producer, other

    return start


@pytest.fixture
def fleet(new_fleet: Callable[[str], Fleet], pair: Pair) -> Fleet:
    """Web processes and workers that know the pair's address."""
    fleet = new_fleet("sqlite")
    fleet.env["REDIS_URL"] = pair.address.url
    return fleet


def check_count(*tapes: Tape) -> None:
    """All of ``COUNT``, once and in order, byte for byte the same, without a break in the connection."""
    assert len({tape.raw for tape in tapes}) == 1
    assert text_of(tapes[0].frames) == "".join(f"{n} " for n in range(1, 81))
    assert tapes[0].frames[-1].type == "done"


def check_told(tapes: list[Tape], since: float) -> None:
    """Readers whose events are lost were disconnected soon, without an end."""
    assert not any(tape.closes for tape in tapes)
    assert max(tape.ended_at for tape in tapes) - since < TOLD_SECONDS


def check_lost(tape: Tape, records: Records, *servers: Server) -> None:
    """Who has seen what is lost is told so, and all others see one and the same stream, that ends."""
    stream = tape.stream_id
    assert when(lambda: servers[0].snapshot(stream)["status"] == "error")
    late = whole(stream, *servers)
    kept, terminal = late.frames[:-1], late.frames[-1]
    assert len(kept) < len(tape.frames), "something was lost"
    assert tape.raw.startswith(b"".join(frame.raw for frame in kept))
    assert (terminal.type, terminal.data["error_type"]) == ("error", "internal")
    for server in servers:
        ahead = server.get("/api/v1/stream", stream_id=stream, user_id="u1", last_event_id=tape.last_event_id)
        assert (ahead.status_code, ahead.json()["error_type"]) == (409, "ahead_of_log")
        assert ahead.json()["latest_event_id"] == late.last_event_id
        shown = server.snapshot(stream)
        assert (shown["text"], shown["last_event_id"]) == (text_of(kept), late.last_event_id)
    cost = records.cost(stream)
    assert cost.settled and cost.completion_tokens >= len(tape.frames), "what was generated is on record"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_replica_that_has_everything_takes_over_and_nobody_notices(
    serve_pair: Servers, pair: Pair, upstream: Upstream, crowd: Crowd, database: str
) -> None:
    _, producer, other = serve_pair(database)
    producer.begin("demo", COUNT)
    producer.begin("asked", json.dumps({"count": 80, "delay_ms": 25}), model=MODEL)
    demo, asked = ([attach(crowd, server, stream) for server in (producer, other)] for stream in ("demo", "asked"))
    crowd.wait_for_frames(5, *demo, *asked)
    pair.catch_up()
    pair.fail_over()
    crowd.wait_for_end(*demo, *asked)
    check_count(*demo, whole("demo", producer, other))
    assert len({tape.raw for tape in (*asked, whole("asked", producer, other))}) == 1
    assert asked[0].frames[-1].type == "done" and len(upstream.calls) == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_a_lagging_replica_did_not_have_is_told_to_those_who_saw_it(
    serve_pair: Servers, pair: Pair, upstream: Upstream, crowd: Crowd, database: str
) -> None:
    records, producer, other = serve_pair(database)
    producer.begin("demo", LONG)
    producer.begin("asked", ASKED, model=MODEL)
    tapes = [attach(crowd, server, stream) for stream in ("demo", "asked") for server in (producer, other)]
    crowd.wait_for_frames(5, *tapes)
    pair.link.stall()
    crowd.wait_for_frames(max(len(tape.frames) for tape in tapes) + 5, *tapes)
    since = pair.fail_over()
    crowd.wait_for_end(*tapes)
    check_told(tapes, since)
    for tape in tapes:
        check_lost(tape, records, producer, other)
    assert upstream.wait_for_end(1).ended == "client_left" and len(upstream.calls) == 1
    producer.begin("next", "/count 3")
    assert when(lambda: other.snapshot("next")["status"] == "done")


def test_a_replica_that_is_not_promoted_yet_is_waited_for(serve_pair: Servers, pair: Pair, crowd: Crowd) -> None:
    _, producer, other = serve_pair("sqlite")
    producer.begin("s1", COUNT)
    tapes = [attach(crowd, server, "s1") for server in (producer, other)]
    crowd.wait_for_frames(5, *tapes)
    pair.catch_up()
    pair.primary.kill()
    pair.lead_to(pair.replica)
    for server in (producer, other):
        assert when(lambda server=server: server.get("/ready").status_code == 503)  # type: ignore[misc]
        refused = server.post("/api/v1/stream", {"user_id": "u1", "stream_id": "new", "message": "/count 3"})
        assert refused.status_code == 503 and refused.headers["Retry-After"]
    pair.replica.promote()
    crowd.wait_for_end(*tapes)
    check_count(*tapes, whole("s1", producer, other))
    for server in (producer, other):
        assert when(lambda server=server: server.get("/ready").status_code == 200)  # type: ignore[misc]


def test_connections_that_are_left_over_to_a_primary_that_became_a_replica_are_given_up(
    serve_pair: Servers, pair: Pair, crowd: Crowd
) -> None:
    _, producer, other = serve_pair("sqlite")
    producer.begin("s1", COUNT)
    tapes = [attach(crowd, server, "s1") for server in (producer, other)]
    crowd.wait_for_frames(5, *tapes)
    pair.catch_up()
    pair.replica.promote()
    # It stays at what it had, and answers questions all the same.
    pair.link.stall()
    pair.link.target = ("127.0.0.1", pair.replica.port)
    pair.primary.follow(pair.link.port)
    pair.address.target = ("127.0.0.1", pair.replica.port)
    pair.address.go()
    crowd.wait_for_end(*tapes)
    check_count(*tapes, whole("s1", producer, other))


def test_an_old_primary_that_is_taken_for_the_new_one_is_found_out(
    serve_pair: Servers, pair: Pair, crowd: Crowd
) -> None:
    records, producer, other = serve_pair("sqlite")
    producer.begin("open", LONG)
    producer.begin("ended", COUNT)
    tapes = [attach(crowd, server, "open") for server in (producer, other)]
    ended = [attach(crowd, server, "ended") for server in (producer, other)]
    crowd.wait_for_frames(5, *tapes, *ended)
    pair.catch_up()
    pair.fail_over()
    crowd.wait_for_end(*ended)
    crowd.wait_for_frames(100, *tapes)
    pair.primary.start()
    since = pair.lead_to(pair.primary)
    crowd.wait_for_end(*tapes)
    check_told(tapes, since)
    for tape in tapes:
        check_lost(tape, records, producer, other)
    check_count(*ended, whole("ended", producer, other))


def test_a_fail_over_loses_no_start_and_sends_none_twice(
    fleet: Fleet, pair: Pair, upstream: Upstream, crowd: Crowd
) -> None:
    web, worker = together(fleet.web, lambda: fleet.worker("--concurrency", "1"))
    web.begin("first", STALLS, model=MODEL)
    upstream.wait_for(lambda calls: len(calls) == 1)
    web.begin("replicated", json.dumps({"count": 5}), model=MODEL)
    pair.replica.wait_for(pair.primary)

    # What the replica does not know: that these two are done, and the other two were ever started.
    pair.link.stall()
    upstream.release()
    assert when(lambda: web.snapshot("replicated")["status"] == "done")
    upstream.hold()
    web.begin("open", STALLS, model=MODEL)
    lost = attach(crowd, web, "open")
    crowd.wait_for_frames(3, lost)
    web.begin("waiting", json.dumps({"count": 6}), model=MODEL)
    pair.fail_over()

    tape = attach(crowd, web, "waiting")
    crowd.wait_for_end(tape, lost)
    assert (tape.frames[-1].type, len(tape.frames)) == ("done", 7) and not lost.closes
    assert when(lambda: web.snapshot("open")["status"] == "error")
    with pair.replica.client() as client:
        [starts] = client.keys("magic:*:starts")
        assert when(lambda: client.xlen(starts) == 0), "what is done is not handed over again"
    assert [call.body["messages"][-1]["content"] for call in upstream.calls] == [
        STALLS,
        json.dumps({"count": 5}),
        STALLS,
        json.dumps({"count": 6}),
    ]
    assert worker.terminate() == 0
