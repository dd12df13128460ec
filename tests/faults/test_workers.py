"""Worker processes: starts that web processes hand over, through a queue that neither kills nor floods empty."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from streaming.providers.base import INSTRUCTION
from tests.commands import run
from tests.faults.conftest import MODEL
from tests.faults.fleet import Fleet
from tests.faults.roaming import Roamer
from tests.faults.test_kill import check_cost, check_interrupted
from tests.faults.test_zombie import pause
from tests.faults.wire import Crowd, Tape, replay
from tests.servers import Server
from tests.upstream import Upstream

COUNT = "/count 40 20"
LONG = "/count 2000 20"
STALLS = json.dumps({"stall_after": 3})
SLOW = json.dumps({"count": 2000, "delay_ms": 25})
PROMISED_SECONDS = 15
SOON = 10
"""Seconds in which what need not wait for anything is over; a drain takes 25."""


@pytest.fixture
def fleet(new_fleet: Callable[[str], Fleet]) -> Fleet:
    return new_fleet("sqlite")


def together(*begin: Callable[[], Server]) -> list[Server]:
    """Start processes at the same time."""
    with ThreadPoolExecutor(len(begin)) as pool:
        return list(pool.map(lambda each: each(), begin))


def attach(crowd: Crowd, server: Server, stream_id: str, after: int = -1) -> Tape:
    return crowd.read(server.url, stream_id=stream_id, user_id="u1", last_event_id=after)


def cancel(server: Server, stream_id: str) -> dict[str, Any]:
    url = f"{server.url}/api/v1/stream/{stream_id}"
    answer = httpx.delete(url, params={"user_id": "u1"}, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def when(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it comes to be true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def check_nothing_was_asked(shown: dict[str, Any], fleet: Fleet) -> None:
    """Counts and cost are 0, and settled."""
    cost = fleet.records.cost(shown["stream_id"])
    assert (cost.prompt_tokens, cost.completion_tokens, cost.total_pico_usd, cost.settled) == (0, 0, 0, True)
    assert (shown["total_tokens"], shown["total_cost"], shown["text"]) == (0, 0, "")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_one_web_process_starts_a_worker_produces_and_another_web_process_reads(
    new_fleet: Callable[[str], Fleet], upstream: Upstream, crowd: Crowd, database: str
) -> None:
    fleet = new_fleet(database)
    here, there, worker = together(fleet.web, partial(fleet.web, "uvicorn"), fleet.worker)
    assert here.begin("s1", COUNT)["status"] == "queued"
    tapes = [attach(crowd, server, "s1") for server in (here, there)]
    crowd.wait_for_end(*tapes)
    assert tapes[0].raw == tapes[1].raw
    assert (tapes[0].frames[-1].type, len(tapes[0].frames)) == ("done", 41)
    assert replay([there.url], stream_id="s1", user_id="u1")[0].raw == tapes[0].raw

    here.begin("s2", json.dumps({"text": "One two."}), model=MODEL, conversation_id="c", system="Be brief.")
    asked = upstream.wait_for_end(1)
    assert when(lambda: there.snapshot("s2")["status"] == "done")
    there.begin("s3", json.dumps({"text": "Three."}), model=MODEL, conversation_id="c", temperature=0.5, max_tokens=9)
    asked = upstream.wait_for_end(2)
    assert [turn["content"] for turn in asked.body["messages"][:2]] == [json.dumps({"text": "One two."}), "One two."]
    assert (asked.body["temperature"], len(upstream.calls)) == (0.5, 2)
    triaged = there.post("/api/triage", {"user_id": "u1", "content": "I was charged twice."})
    assert triaged.status_code == 200 and triaged.json()["category"], triaged.text

    assert '"start"' in worker.log_text() and '"start"' not in here.log_text() + there.log_text()

    here.begin("s4", SLOW, model=MODEL)
    upstream.wait_for(lambda calls: len(calls) == 3 and calls[2].deltas_sent > 3)
    asked_at = time.time()
    assert cancel(there, "s4")["status"] == "cancelled"
    call = upstream.wait_for_end(3)
    assert call.ended == "client_left" and call.ended_at is not None and call.ended_at - asked_at < 2

    asked_again = {"user_id": "u1", "stream_id": "s5", "continues": "s4"}
    assert here.post("/api/v1/stream", asked_again).status_code == 201
    turns = upstream.wait_for_end(4).body["messages"]
    assert [turn["content"] for turn in turns] == [SLOW, there.snapshot("s4")["text"].rstrip(), INSTRUCTION]


def test_a_killed_worker_s_streams_end_interrupted_and_are_asked_for_once(
    fleet: Fleet, upstream: Upstream, crowd: Crowd
) -> None:
    web, worker = together(fleet.web, fleet.worker)
    web.begin("demo", LONG)
    web.begin("asked", SLOW, model=MODEL)
    tapes = [attach(crowd, web, stream) for stream in ("demo", "asked")]
    crowd.wait_for_frames(5, *tapes)
    worker.kill()
    killed = time.monotonic()
    crowd.wait_for_end(*tapes)
    assert time.monotonic() - killed < PROMISED_SECONDS
    fleet.worker()
    for tape in tapes:
        tape.check()
        check_interrupted(tape.frames[-1])
        check_cost(fleet.records, tape.stream_id, tape.frames)
    web.begin("next", COUNT)
    assert when(lambda: web.snapshot("next")["status"] == "done")
    assert len(upstream.calls) == 1


def test_what_a_worker_had_not_dispatched_when_it_was_killed_another_one_runs(
    fleet: Fleet, upstream: Upstream, crowd: Crowd
) -> None:
    web, worker = together(fleet.web, fleet.worker)
    pause(worker, fleet.records)
    web.begin("s1", json.dumps({"count": 5}), model=MODEL)
    tape = attach(crowd, web, "s1")
    other = fleet.worker()
    worker.kill()
    crowd.wait_for_end(tape)
    assert (tape.frames[-1].type, len(upstream.calls)) == ("done", 1)
    assert '"start"' in other.log_text()


def test_a_start_waits_for_a_worker_with_room_and_a_full_queue_refuses(
    fleet: Fleet, upstream: Upstream, crowd: Crowd
) -> None:
    few = partial(fleet.web, STREAM_MAX_QUEUED="2", STREAM_HEARTBEAT_SECONDS="0.2")
    web, worker = together(few, partial(fleet.worker, "--concurrency", "1"))
    web.begin("first", STALLS, model=MODEL)
    upstream.wait_for(lambda calls: len(calls) == 1)
    for stream in ("second", "third"):
        assert web.begin(stream, COUNT)["status"] == "queued"
    waiting = attach(crowd, web, "second")
    crowd.wait_for(lambda: len(waiting.comments) >= 3)
    assert (waiting.frames, web.snapshot("second")["status"]) == ([], "queued")
    refused = web.post("/api/v1/stream", {"user_id": "u1", "stream_id": "fourth", "message": COUNT})
    assert (refused.status_code, refused.headers["Content-Type"]) == (503, "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0 and refused.json()["detail"].startswith("The server is full")
    assert web.get("/api/v1/streams/fourth", user_id="u1").status_code == 404
    assert web.post("/api/v1/stream", {"user_id": "u1", "stream_id": "second", "message": COUNT}).status_code == 200
    assert when(lambda: "streaming_queued_streams 2.0" in web.get("/metrics").text)

    upstream.release()
    crowd.wait_for_end(waiting)
    assert (waiting.frames[-1].type, len(waiting.frames)) == ("done", 41)
    assert waiting.frames[-1].data["latency_ms"] > 2000, "as long as its reader waited"
    assert when(lambda: web.snapshot("third")["status"] == "done")
    assert "streaming_queue_wait_seconds_count 3.0" in web.get("/metrics").text
    assert worker.terminate() == 0


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_waits_too_long_or_is_cancelled_meanwhile_costs_nothing(
    new_fleet: Callable[[str], Fleet], upstream: Upstream, crowd: Crowd, database: str
) -> None:
    fleet = new_fleet(database)
    web, other = together(fleet.web, fleet.web)
    web.begin("late", SLOW, model=MODEL)
    web.begin("cancelled", SLOW, model=MODEL)
    tapes = [attach(crowd, server, stream) for server in (web, other) for stream in ("late", "cancelled")]
    began = time.monotonic()
    shown = cancel(other, "cancelled")
    assert time.monotonic() - began < SOON and shown["status"] == "cancelled"
    check_nothing_was_asked(shown, fleet)
    fleet.records.rows(
        "UPDATE streaming_stream SET created_at = ? WHERE stream_id = ?", "2026-01-01 00:00:00+00:00", "late"
    )
    crowd.wait_for_end(*tapes)
    terminal = tapes[0].frames[-1]
    assert (terminal.type, terminal.data["error_type"], terminal.data["retryable"]) == ("error", "timeout", True)
    assert terminal.data["total_cost"] == 0
    assert (tapes[0].raw, tapes[1].raw) == (tapes[2].raw, tapes[3].raw)
    check_nothing_was_asked(web.snapshot("late"), fleet)

    fleet.worker()
    other.begin("next", COUNT)
    assert when(lambda: web.snapshot("next")["status"] == "done")
    assert upstream.calls == []
    with fleet.redis.client() as client:
        [starts] = client.keys("magic:*:starts")
        assert when(lambda: client.xlen(starts) == 0)
    assert run(fleet.url, "reconcile_costs", **fleet.env).returncode == 0


def test_an_emptied_redis_loses_no_start(fleet: Fleet, upstream: Upstream, crowd: Crowd) -> None:
    web, worker = together(fleet.web, partial(fleet.worker, "--concurrency", "1"))
    web.begin("first", STALLS, model=MODEL)
    upstream.wait_for(lambda calls: len(calls) == 1)
    web.begin("second", COUNT)
    with fleet.redis.client() as client:
        client.flushall()
    tape = attach(crowd, web, "second")
    upstream.release()
    crowd.wait_for_end(tape)
    assert (tape.frames[-1].type, len(tape.frames)) == ("done", 41)
    assert worker.terminate() == 0


def test_a_start_whose_web_process_is_killed_before_it_is_handed_over_runs(
    fleet: Fleet, upstream: Upstream, crowd: Crowd
) -> None:
    dies = partial(fleet.web, DJANGO_SETTINGS_MODULE="tests.faults.dying_settings")
    dying, other, _ = together(dies, fleet.web, fleet.worker)
    with pytest.raises(httpx.TransportError):
        dying.post(
            "/api/v1/stream", {"user_id": "u1", "stream_id": "s1", "message": json.dumps({"count": 5}), "model": MODEL}
        )
    tape = attach(crowd, other, "s1")
    crowd.wait_for_end(tape)
    assert (tape.frames[-1].type, len(upstream.calls)) == ("done", 1)


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_a_web_process_that_stops_ends_its_readers_at_once_and_they_go_on_elsewhere(
    fleet: Fleet, crowd: Crowd, kind: str
) -> None:
    stopping, other, _ = together(partial(fleet.web, kind), fleet.web, fleet.worker)
    stopping.begin("s1", LONG)
    tapes = [attach(crowd, stopping, "s1") for _ in range(5)]
    crowd.wait_for_frames(5, *tapes)
    sent = time.monotonic()
    stopping.send(signal.SIGTERM)
    crowd.wait_for_end(*tapes)
    assert max(tape.ended_at for tape in tapes) - sent < SOON
    assert {(tape.ended, tape.closes) for tape in tapes} == {("clean", False)}
    rest = [attach(crowd, other, "s1", tape.last_event_id) for tape in tapes]
    assert stopping.process is not None
    stopping.process.wait(SOON)
    cancel(other, "s1")
    crowd.wait_for_end(*rest)
    [whole] = replay([other.url], stream_id="s1", user_id="u1")
    assert {before.raw + after.raw for before, after in zip(tapes, rest, strict=True)} == {whole.raw}


def test_a_worker_that_stops_finishes_its_streams_takes_no_new_ones_and_does_not_wait_at_ctrl_c(
    fleet: Fleet, crowd: Crowd
) -> None:
    web, worker = together(fleet.web, fleet.worker)
    web.begin("s1", COUNT)
    tape = attach(crowd, web, "s1")
    crowd.wait_for_frames(3, tape)
    worker.send(signal.SIGTERM)
    assert when(lambda: '"draining"' in worker.log_text())
    web.begin("s2", LONG)
    crowd.wait_for_end(tape)
    assert (tape.frames[-1].type, len(tape.frames)) == ("done", 41)
    assert worker.process is not None and worker.process.wait(SOON) == 0
    assert web.snapshot("s2")["status"] == "queued"

    other = fleet.worker()
    tape = attach(crowd, web, "s2")
    crowd.wait_for_frames(3, tape)
    other.send(signal.SIGINT)
    crowd.wait_for_end(tape, timeout=SOON)
    check_interrupted(tape.frames[-1])
    assert other.process is not None and other.process.wait(SOON) == 0


def test_a_worker_without_redis_says_what_is_missing(sqlite_url: str) -> None:
    refused = run(sqlite_url, "streamworker", REDIS_URL="")
    assert refused.returncode == 1 and "set REDIS_URL" in refused.stderr
    refused = run(sqlite_url, "check", REDIS_URL="", STREAM_PRODUCERS="workers")
    assert refused.returncode == 1 and "streaming.E012" in refused.stderr
    refused = run(sqlite_url, "check", REDIS_URL="", STREAM_PRODUCERS="others")
    assert refused.returncode == 1 and "streaming.E011" in refused.stderr


def roll(fleet: Fleet, crowd: Crowd, streams: int) -> float:
    """Restart two web processes and two workers, one after the other, under so many live streams; the longest gap."""
    worker = partial(fleet.worker, "--drain", "60")
    *webs, one, other = together(fleet.web, partial(fleet.web, "uvicorn"), worker, worker)
    urls = [web.url for web in webs]
    readers: list[Roamer] = []

    def begin(wave: str) -> list[Any]:
        new = []
        for number in range(streams // 2):
            stream_id = f"{wave}-{number}"
            webs[number % 2].begin(stream_id, "/count 160 20")
            new.append(Roamer(urls[:: 1 if number % 2 else -1], {"stream_id": stream_id, "user_id": "u1"}))
        readers.extend(new)
        return [crowd.spawn(reader.read()) for reader in new]

    waiting = begin("first")
    for web in webs:
        web.terminate(SOON)
        web.start()
    waiting += begin("second")
    for each in (one, other):
        assert each.terminate(60) == 0
        each.start()
    for reading in waiting:
        reading.result(90)
    for reader in readers:
        reader.check()
        assert len(reader.frames) == 161
    return max(reader.longest_gap for reader in readers)


def test_a_rolling_restart_loses_no_event_and_shows_no_error(fleet: Fleet, crowd: Crowd) -> None:
    gap = roll(fleet, crowd, 20)
    print(f"the longest gap: {gap:.2f} s")
    assert gap < SOON


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_rolling_restart_under_200_streams(new_fleet: Callable[[str], Fleet], crowd: Crowd, database: str) -> None:
    gap = roll(new_fleet(database), crowd, 200)
    print(f"the longest gap: {gap:.2f} s")
    assert gap < 2 * SOON
