"""``kill -9`` of a server in the middle of its streams."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from typing import Any

import pytest

from tests.faults.conftest import MODEL, NewDatabase, Serve, ServeTwo
from tests.faults.recorder import Recorder
from tests.faults.records import Records
from tests.faults.wire import Crowd, Tape, replay
from tests.frames import Frame
from tests.servers import Server
from tests.upstream import Upstream

STREAMS = 50
PROMISED_SECONDS = 15

pytestmark = pytest.mark.timeout(180)


def begin_streams(server: Server) -> list[dict[str, Any]]:
    """Half of them by the demo provider, half by the upstream; the parameters that attach to each."""
    attach: list[dict[str, Any]] = []
    for number in range(STREAMS):
        stream_id, user_id = f"stream-{number}", f"user-{number}"
        if number % 2:
            server.begin(stream_id, "/count 4000 20", user_id, model="demo")
        else:
            script = json.dumps({"count": 4000, "delay_ms": 50})
            server.begin(stream_id, script, user_id, model=MODEL, system=stream_id)
        attach.append({"stream_id": stream_id, "user_id": user_id})
    return attach


def calls_by_stream(upstream: Upstream) -> Counter[str]:
    """How often the upstream was asked, by the stream's name in the system prompt."""
    return Counter(call.body["messages"][0]["content"] for call in upstream.calls)


def check_interrupted(terminal: Frame) -> None:
    assert terminal.type == "error"
    assert terminal.data["error_type"] == "interrupted"
    assert terminal.data["retryable"] is True
    assert terminal.data["error"]


def check_cost(records: Records, stream_id: str, frames: list[Frame]) -> None:
    """The ledger has one settled row: the price of what was counted, as the terminal event says."""
    cost = records.cost(stream_id)
    counted = sum(frame.data["tokens"] for frame in frames if frame.type == "message_chunk")
    assert cost.state == "estimated" and cost.settled
    assert cost.completion_tokens == counted
    assert cost.prompt_tokens > 0
    assert cost.total_pico_usd == cost.price_of_counts
    terminal = frames[-1].data
    assert terminal["total_cost"] == cost.total_pico_usd / 10**12
    assert (terminal["prompt_tokens"], terminal["completion_tokens"]) == (cost.prompt_tokens, cost.completion_tokens)
    assert terminal["cost_state"] == "estimated"


def kill_and_check(
    database_url: str, serve: Serve, upstream: Upstream, crowd: Crowd, *, seed: int, kind: str, lease: str
) -> None:
    """Kill a server at a random moment of 50 streams, restart it, and look at everything."""
    chance = random.Random(seed)
    server = serve(database_url, kind=kind, STREAM_LEASE_SECONDS=lease)
    records = Records(database_url)
    recorder = Recorder(records, upstream)
    attach = begin_streams(server)
    recorder.started(*(one["stream_id"] for one in attach))
    for one in attach:
        for _ in range(chance.choice((0, 0, 1, 1, 2))):
            crowd.read(server.url, **one)
    upstream.wait_for(lambda calls: len(calls) == STREAMS // 2)
    moment = chance.randrange(len(crowd.tapes), 40 * len(crowd.tapes))
    crowd.wait_for(lambda: sum(len(tape.frames) for tape in crowd.tapes) >= moment)
    server.kill()
    seen = list(crowd.tapes)
    crowd.wait_for_end(*seen)
    assert not any(tape.closes for tape in seen)

    recorder.sample()
    restarted = time.monotonic()
    server.start()
    recorder.died(one["stream_id"] for one in attach)
    last_seen = {tape.stream_id: tape.last_event_id for tape in seen}
    resumed = [crowd.read(server.url, last_event_id=last_seen.get(one["stream_id"], -1), **one) for one in attach]
    crowd.wait_for_end(*resumed, timeout=PROMISED_SECONDS + 5)
    assert all(tape.closes for tape in resumed), crowd.describe()
    assert max(tape.times[-1] for tape in resumed) - restarted < PROMISED_SECONDS

    recorder.check(crowd.tapes)
    for one, rest in zip(attach, resumed, strict=True):
        rest.check()
        [whole] = replay([server.url], **one)
        check_interrupted(whole.frames[-1])
        check_cost(records, one["stream_id"], whole.frames)
        assert whole.raw.endswith(rest.raw)
        for tape in seen:
            if tape.stream_id == one["stream_id"]:
                tape.check()
                assert whole.raw.startswith(tape.raw)
    assert calls_by_stream(upstream) == {one["stream_id"]: 1 for one in attach[::2]}


@pytest.mark.parametrize(
    ("seed", "kind", "database"), [(1, "daphne", "sqlite"), (2, "uvicorn", "postgresql"), (3, "daphne", "postgresql")]
)
def test_a_killed_server_loses_no_event_that_was_seen_and_every_stream_ends(
    new_database: NewDatabase, serve: Serve, upstream: Upstream, crowd: Crowd, seed: int, kind: str, database: str
) -> None:
    kill_and_check(new_database(database), serve, upstream, crowd, seed=seed, kind=kind, lease="3")


def test_with_the_shipped_lease_every_stream_of_a_killed_server_ends_within_15_seconds(
    sqlite_url: str, serve: Serve, upstream: Upstream, crowd: Crowd
) -> None:
    kill_and_check(sqlite_url, serve, upstream, crowd, seed=4, kind="daphne", lease="12")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_killed_server_loses_nothing_over_many_seeds(
    new_database: NewDatabase, serve: Serve, upstream: Upstream, crowd: Crowd, seed: int
) -> None:
    kind, database = ("daphne", "uvicorn")[seed % 2], ("sqlite", "postgresql")[seed // 2 % 2]
    kill_and_check(new_database(database), serve, upstream, crowd, seed=seed, kind=kind, lease="3")


def test_a_server_killed_before_the_first_event_does_not_ask_the_provider_again(
    database_url: str, serve: Serve, upstream: Upstream, crowd: Crowd
) -> None:
    server = serve(database_url, STREAM_LEASE_SECONDS="3")
    server.begin("s1", json.dumps({"stall_after": -1}), model=MODEL, system="s1")
    upstream.wait_for(lambda calls: len(calls) == 1)
    server.kill()
    server.start()
    tape = crowd.read(server.url, stream_id="s1", user_id="u1")
    crowd.wait_for_end(tape, timeout=PROMISED_SECONDS)
    [terminal] = tape.frames
    check_interrupted(terminal)
    check_cost(Records(database_url), "s1", tape.frames)
    again = server.post("/api/v1/stream", {"user_id": "u1", "stream_id": "s1"})
    assert (again.status_code, again.json()["error_type"]) == (200, "interrupted")
    assert calls_by_stream(upstream) == {"s1": 1}


def test_a_reader_on_another_process_sees_the_end_of_a_stream_whose_producer_was_killed(
    database_url: str, serve_two: ServeTwo, crowd: Crowd
) -> None:
    producer, other = serve_two(database_url, STREAM_LEASE_SECONDS="3")
    producer.begin("s1", "/count 400 20")
    tape: Tape = crowd.read(other.url, stream_id="s1", user_id="u1")
    crowd.wait_for_frames(5, tape)
    producer.kill()
    crowd.wait_for_end(tape, timeout=PROMISED_SECONDS)
    tape.check()
    check_interrupted(tape.frames[-1])
    assert replay([other.url], stream_id="s1", user_id="u1")[0].raw == tape.raw
