"""Two processes and a Redis: one log for all readers, and what becomes of it when a process or the Redis is hurt."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from tests.faults.conftest import MODEL, NewDatabase, ServeTwo
from tests.faults.records import Records
from tests.faults.test_kill import check_cost, check_interrupted
from tests.faults.test_zombie import pause
from tests.faults.wire import Crowd, Tape, replay
from tests.frames import text_of
from tests.redis_server import RedisServer
from tests.servers import Server
from tests.upstream import Upstream

COUNT = 80
TEXT = "".join(f"{number} " for number in range(1, COUNT + 1))
SCRIPT = json.dumps({"count": COUNT, "delay_ms": 25, "stall_after": COUNT - 1})
"""It ends once the upstream releases it."""
LONG = "/count 2000 40"


def soak(database: str) -> Any:
    """A database that a test is run on by ``make soak`` alone: the other one shows the same."""
    return pytest.param(database, marks=pytest.mark.soak)


Servers = Callable[[str], tuple[Records, Server, Server]]


@pytest.fixture
def serve_pair(serve_two: ServeTwo, new_database: NewDatabase, own_redis: RedisServer) -> Servers:
    """Two processes with one database of a kind and one Redis: a producer, and another. With its records."""

    def start(database: str) -> tuple[Records, Server, Server]:
        url, lease = new_database(database), {"STREAM_LEASE_SECONDS": "3", "STREAM_HEARTBEAT_SECONDS": "1"}
        producer, other = serve_two(url, "daphne", "uvicorn", REDIS_URL=own_redis.url, **lease)
        return Records(url), producer, other

    return start


def attach(crowd: Crowd, server: Server, stream_id: str, after: int = -1) -> Tape:
    return crowd.read(server.url, stream_id=stream_id, user_id="u1", last_event_id=after)


def whole(stream_id: str, *servers: Server) -> Tape:
    """A closed stream as a late reader of each of these processes gets it."""
    tapes = replay([server.url for server in servers], stream_id=stream_id, user_id="u1")
    assert len({tape.raw for tape in tapes}) == 1
    return tapes[0]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_all_readers_of_both_processes_get_the_same_bytes_live_resumed_and_late(
    serve_pair: Servers, own_redis: RedisServer, upstream: Upstream, crowd: Crowd, database: str
) -> None:
    _, producer, other = serve_pair(database)
    producer.begin("s1", SCRIPT, model=MODEL)
    tapes = [attach(crowd, server, "s1") for server in (producer, other) for _ in range(3)]
    crowd.wait_for_frames(5, *tapes)
    crowd.leave(tapes[0])
    resumed = [attach(crowd, server, "s1", tapes[0].last_event_id) for server in (producer, other)]

    shown = other.snapshot("s1")
    ahead = other.get("/api/v1/stream", stream_id="s1", user_id="u1", last_event_id=2000)
    assert shown["status"] == "streaming" and shown["last_event_id"] >= 4
    assert (ahead.status_code, ahead.json()["error_type"]) == (409, "ahead_of_log")
    assert ahead.json()["latest_event_id"] >= shown["last_event_id"]

    upstream.release()
    crowd.wait_for_end(*tapes, *resumed)
    assert shown["text"] == text_of(tapes[1].frames[: shown["last_event_id"] + 1])
    assert len({tape.raw for tape in tapes[1:]}) == 1 and tapes[1].frames[-1].type == "done"
    assert {tapes[0].raw + tape.raw for tape in resumed} == {tapes[1].raw}
    with own_redis.client() as client:
        assert whole("s1", producer, other).raw == tapes[1].raw
        client.flushall()
    assert whole("s1", producer, other).raw == tapes[1].raw, "kept in SQL"

    producer.begin("s2", LONG)
    reading = attach(crowd, producer, "s2")
    crowd.wait_for_frames(1, reading)
    began = time.monotonic()
    cancelled = httpx.delete(f"{other.url}/api/v1/stream/s2", params={"user_id": "u1"}, timeout=30, trust_env=False)
    assert cancelled.json()["status"] == "cancelled" and time.monotonic() - began < 5
    crowd.wait_for_end(reading)
    assert reading.frames[-1].data["finish_reason"] == "cancelled"
    assert whole("s2", producer, other).raw == reading.raw


@pytest.mark.parametrize("database", [soak("sqlite"), "postgresql"])
def test_a_killed_producer_loses_nothing_that_was_seen(
    serve_pair: Servers, upstream: Upstream, crowd: Crowd, database: str
) -> None:
    records, producer, other = serve_pair(database)
    producer.begin("demo", LONG)
    producer.begin("asked", json.dumps({"count": 2000, "delay_ms": 25}), model=MODEL)
    here = [attach(crowd, producer, stream) for stream in ("demo", "asked")]
    there = [attach(crowd, other, stream) for stream in ("demo", "asked")]
    crowd.wait_for_frames(5, *here, *there)
    producer.kill()
    crowd.wait_for_end(*here, *there)
    for seen, tape in zip(here, there, strict=True):
        tape.check()
        assert tape.raw.startswith(seen.raw)
        check_interrupted(tape.frames[-1])
        check_cost(records, tape.stream_id, tape.frames)
        assert whole(tape.stream_id, other).raw == tape.raw
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("database", ["sqlite", soak("postgresql")])
def test_a_producer_that_was_paused_adds_nothing(
    serve_pair: Servers, upstream: Upstream, crowd: Crowd, database: str
) -> None:
    records, producer, other = serve_pair(database)
    producer.begin("demo", LONG)
    producer.begin("asked", json.dumps({"count": 2000, "delay_ms": 25}), model=MODEL)
    here = [attach(crowd, producer, stream) for stream in ("demo", "asked")]
    there = [attach(crowd, other, stream) for stream in ("demo", "asked")]
    crowd.wait_for_frames(5, *here, *there)
    pause(producer, records)
    crowd.wait_for_end(*there)
    costs = [records.cost(tape.stream_id) for tape in there]
    producer.send(signal.SIGCONT)
    crowd.wait_for_end(*here)
    assert upstream.wait_for_end(1).ended == "client_left"
    for tape, seen, cost in zip(there, here, costs, strict=True):
        check_interrupted(tape.frames[-1])
        assert whole(tape.stream_id, producer, other).raw == tape.raw
        assert seen.raw == tape.raw
        assert records.cost(tape.stream_id) == cost and records.head(tape.stream_id)["closed"]


@pytest.mark.parametrize("database", [soak("sqlite"), "postgresql"])
def test_a_redis_that_is_killed_is_waited_for_and_one_that_is_emptied_is_told_of(
    serve_pair: Servers, own_redis: RedisServer, upstream: Upstream, crowd: Crowd, database: str
) -> None:
    records, producer, other = serve_pair(database)
    producer.begin("killed", SCRIPT, model=MODEL)
    tapes = [attach(crowd, server, "killed") for server in (producer, other)]
    crowd.wait_for_frames(5, *tapes)
    own_redis.kill()
    for server in (producer, other):
        assert _when(partial(_answers_ready, server, 503))
        assert "Redis" in server.get("/ready").json()["failing"]["event_log"]
        refused = server.post("/api/v1/stream", {"user_id": "u1", "stream_id": "new", "message": "/count 3"})
        assert refused.status_code == 503 and refused.headers["Retry-After"]
    own_redis.start()
    upstream.release()
    crowd.wait_for_end(*tapes)
    assert tapes[0].raw == tapes[1].raw and text_of(tapes[0].frames) == TEXT
    assert tapes[0].frames[-1].type == "done"
    for server in (producer, other):
        assert _when(partial(_answers_ready, server, 200))

    producer.begin("lost", LONG)
    tapes = [attach(crowd, server, "lost") for server in (producer, other)]
    crowd.wait_for_frames(5, *tapes)
    with own_redis.client() as client:
        client.flushall()
    crowd.wait_for_end(*tapes)
    assert not any(tape.closes for tape in tapes)
    assert _when(lambda: other.snapshot("lost")["status"] == "error")
    for tape in tapes:
        answer = other.get("/api/v1/stream", stream_id="lost", user_id="u1", last_event_id=tape.last_event_id)
        assert (answer.status_code, answer.json()["error_type"]) == (409, "ahead_of_log")
    shown, cost = other.snapshot("lost"), records.cost("lost")
    assert shown["error_type"] == "internal" and shown["text"] == ""
    assert cost.settled and cost.completion_tokens >= len(tapes[1].frames), "what was generated is on record"
    assert whole("lost", producer, other).frames[-1].data["total_cost"] == shown["total_cost"]


def _answers_ready(server: Server, status: int) -> bool:
    return server.get("/ready").status_code == status


def _when(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it comes to be true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
