"""SIGTERM and SIGINT: what a deploy does to live streams."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.faults.conftest import MODEL, PAIRS, NewDatabase, Serve, ServeTwo
from tests.faults.wire import Crowd, replay
from tests.servers import Server
from tests.upstream import Upstream

KINDS = ("daphne", "uvicorn")
EXIT_CODES = {"daphne": 0, "uvicorn": -signal.SIGTERM}
"""What each server ends with by itself after SIGTERM; uvicorn raises the signal again."""

SOON = 20
"""Seconds in which a process is gone that has nothing left to wait for; a drain takes longer."""

COUNT = 40
SCRIPT = json.dumps({"count": COUNT, "delay_ms": 25, "stall_after": COUNT - 1})
"""It ends once the upstream releases it."""


def wait_until_draining(server: Server) -> None:
    """Until ``/ready`` says 503."""
    deadline = time.monotonic() + 30
    while (ready := server.get("/ready")).status_code != 503:
        assert time.monotonic() < deadline
    assert "draining" in ready.json()["failing"]


def wait_for_exit(server: Server, timeout: float = SOON) -> int:
    assert server.process is not None
    return server.process.wait(timeout)


@pytest.mark.parametrize(("kind", "database"), PAIRS)
def test_live_streams_finish_and_new_starts_are_refused_while_a_server_drains(
    new_database: NewDatabase, serve: Serve, upstream: Upstream, crowd: Crowd, kind: str, database: str
) -> None:
    database_url = new_database(database)
    server = serve(database_url, kind=kind, STREAM_DRAIN_SECONDS="60", STREAM_HEARTBEAT_SECONDS="60")
    reader = crowd.read(server.url, stream_id="s1", user_id="u1", message=SCRIPT, model=MODEL)
    server.begin("unread", SCRIPT, model=MODEL)
    crowd.wait_for_frames(3, reader)
    server.send(signal.SIGTERM)
    wait_until_draining(server)

    refused = server.post("/api/v1/stream", {"user_id": "u1", "stream_id": "s2", "message": "/count 3 0"})
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert server.get("/api/v1/streams/s2", user_id="u1").status_code == 404
    attached = crowd.read(server.url, stream_id="s1", user_id="u1")
    crowd.wait_for_frames(3, attached)
    upstream.release()
    crowd.wait_for_end(reader, attached)
    for tape in (reader, attached):
        tape.check()
        assert (tape.ended, tape.frames[-1].type, len(tape.frames)) == ("clean", "done", COUNT + 1)
    assert wait_for_exit(server) == EXIT_CODES[kind]
    restarted = serve(database_url)
    assert restarted.snapshot("unread")["status"] == "done"
    assert replay([restarted.url], stream_id="s1", user_id="u1")[0].raw == reader.raw


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_finish_in_time_ends_interrupted_before_its_readers(
    sqlite_url: str, serve_two: ServeTwo, crowd: Crowd, kind: str
) -> None:
    server, other = serve_two(sqlite_url, kind, "daphne", STREAM_DRAIN_SECONDS="1")
    server.begin("s1", "/count 1000 20")
    here = crowd.read(server.url, stream_id="s1", user_id="u1")
    there = crowd.read(other.url, stream_id="s1", user_id="u1")
    server.begin("silent", "/sleep 100")
    crowd.wait_for_frames(3, here, there)
    sent = time.monotonic()
    server.send(signal.SIGTERM)
    crowd.wait_for_end(here, there)
    assert here.times[-1] - sent >= 1
    assert (here.ended, here.frames[-1].data["error_type"]) == ("clean", "interrupted")
    assert there.raw == here.raw
    assert wait_for_exit(server) == EXIT_CODES[kind]
    assert other.snapshot("silent")["error_type"] == "interrupted"
    assert other.snapshot("silent")["cost_state"] == "estimated"


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_sigterm_hurries(sqlite_url: str, serve: Serve, crowd: Crowd, kind: str) -> None:
    server = serve(sqlite_url, kind=kind, STREAM_DRAIN_SECONDS="100")
    reader = crowd.read(server.url, stream_id="s1", user_id="u1", message="/count 10000 20")
    crowd.wait_for_frames(1, reader)
    server.send(signal.SIGTERM)
    wait_until_draining(server)
    assert not reader.closes
    server.send(signal.SIGTERM)
    crowd.wait_for_end(reader, timeout=SOON)
    assert reader.frames[-1].data["error_type"] == "interrupted"
    assert wait_for_exit(server) == EXIT_CODES[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_does_not_wait_for_live_streams(sqlite_url: str, serve: Serve, crowd: Crowd, kind: str) -> None:
    server = serve(sqlite_url, kind=kind, STREAM_DRAIN_SECONDS="100")
    reader = crowd.read(server.url, stream_id="s1", user_id="u1", message="/count 10000 20")
    crowd.wait_for_frames(1, reader)
    server.send(signal.SIGINT)
    crowd.wait_for_end(reader, timeout=SOON)
    assert reader.frames[-1].data["error_type"] == "interrupted"
    wait_for_exit(server)


@pytest.mark.parametrize(("kind", "database"), PAIRS)
def test_a_reader_elsewhere_does_not_notice_that_the_producer_drains(
    new_database: NewDatabase, serve_two: ServeTwo, crowd: Crowd, kind: str, database: str
) -> None:
    producer, other = serve_two(new_database(database), kind, "daphne")
    producer.begin("s1", "/count 40 20")
    reader = crowd.read(other.url, stream_id="s1", user_id="u1")
    crowd.wait_for_frames(3, reader)
    producer.send(signal.SIGTERM)
    crowd.wait_for_end(reader)
    reader.check()
    assert (reader.ended, reader.frames[-1].type, len(reader.frames)) == ("clean", "done", 41)
    wait_for_exit(producer)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopping_process_ends_its_readers_of_another_process_s_stream_cleanly(
    sqlite_url: str, serve_two: ServeTwo, crowd: Crowd, kind: str
) -> None:
    producer, stopping = serve_two(sqlite_url, "daphne", kind)
    producer.begin("s1", "/count 80000 20")
    reader = crowd.read(stopping.url, stream_id="s1", user_id="u1")
    crowd.wait_for_frames(3, reader)
    stopping.send(signal.SIGTERM)
    crowd.wait_for_end(reader, timeout=SOON)
    assert (reader.ended, reader.closes) == ("clean", False)
    assert wait_for_exit(stopping) == EXIT_CODES[kind]
    rest = crowd.read(producer.url, stream_id="s1", user_id="u1", last_event_id=reader.last_event_id)
    crowd.wait_for_frames(3, rest)
    assert producer.post("/api/v1/stream/s1/cancel", {"user_id": "u1"}).status_code == 200
    crowd.wait_for_end(rest)
    rest.check()
    assert rest.frames[-1].type == "done"
    assert replay([producer.url], stream_id="s1", user_id="u1")[0].raw == reader.raw + rest.raw
