"""Many at once: starts of one stream, readers that come and go, hundreds of open connections."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence

import pytest

from tests.faults.conftest import MODEL, NewDatabase, Serve, ServeTwo
from tests.faults.recorder import Recorder
from tests.faults.records import Records
from tests.faults.wire import Crowd, Tape, gather, replay, tape_one
from tests.frames import Frame
from tests.upstream import Upstream

MOST_THREADS = 20
MOST_CONNECTIONS = 9
"""Eight of the process, and one of ``/ready``."""


def test_50_simultaneous_starts_of_one_stream_over_two_processes_are_one_call_and_one_text(
    database_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    urls = [server.url for server in serve_two(database_url, "daphne", "uvicorn")]
    script = json.dumps({"count": 100, "delay_ms": 5})
    asked = {"stream_id": "s1", "user_id": "u1", "message": script, "model": MODEL, "system": "s1"}
    tapes = [Tape(urls[number % 2], asked) for number in range(50)]
    crowd.run(gather(*(tape_one(tape) for tape in tapes)))
    for tape in tapes:
        assert (tape.status, tape.ended) == (200, "clean"), (tape.status, tape.body)
        tape.check()
    assert len({tape.raw for tape in tapes}) == 1
    assert tapes[0].frames[-1].type == "done"
    assert len(tapes[0].frames) == 101
    assert len(upstream.calls) == 1
    recorder = Recorder(Records(database_url), upstream)
    recorder.started("s1")
    recorder.check(tapes)


def test_of_50_simultaneous_starts_one_answers_201_and_all_others_200(
    database_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd
) -> None:
    urls = [server.url for server in serve_two(database_url, "daphne", "uvicorn")]
    asked = {"stream_id": "s1", "user_id": "u1", "message": json.dumps({"stall_after": -1}), "model": MODEL}
    tapes = [Tape(urls[number % 2], asked) for number in range(50)]
    crowd.run(gather(*(tape_one(tape, method="POST") for tape in tapes)))
    assert sorted(tape.status or 0 for tape in tapes) == [200] * 49 + [201]
    assert {json.loads(tape.body)["stream_id"] for tape in tapes} == {"s1"}
    upstream.wait_for(lambda calls: len(calls) == 1)
    other = Tape(urls[0], {**asked, "message": "something else"})
    crowd.run(tape_one(other))
    assert other.status == 409
    assert len(upstream.calls) == 1


async def roam(urls: Sequence[str], chance: random.Random) -> list[Frame]:
    """Read ``s1`` in many connections, to whichever process, each dropped after a random number of frames."""
    taken: list[Frame] = []
    while not (taken and taken[-1].is_terminal):
        tape = Tape(chance.choice(urls), {"stream_id": "s1", "user_id": "u1", "last_event_id": len(taken) - 1})
        await asyncio.wait_for(tape_one(tape, frames=chance.randint(1, 120)), 60)
        assert tape.status == 200, (tape.status, tape.body)
        tape.check()
        taken += tape.frames
        if chance.random() < 0.2:
            del taken[chance.randrange(len(taken)) :]
    return taken


@pytest.mark.parametrize("seed", [1])
def test_100_readers_that_drop_and_resume_anywhere_see_identical_bytes(
    database_url: str, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd, seed: int
) -> None:
    servers = serve_two(database_url, "daphne", "uvicorn")
    urls = [server.url for server in servers]
    recorder = Recorder(Records(database_url), upstream)
    servers[0].begin("s1", "/count 400 100")
    recorder.started("s1")
    taken = crowd.run(gather(*(roam(urls, random.Random(f"{seed} {reader}")) for reader in range(100))))
    whole = b"".join(frame.raw for frame in taken[0])
    assert len(taken[0]) == 401
    assert {b"".join(frame.raw for frame in frames) for frames in taken} == {whole}
    again = replay(urls, stream_id="s1", user_id="u1")
    assert {tape.raw for tape in again} == {whole}
    recorder.check(again)


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_hundreds_of_open_streams_cost_neither_threads_nor_database_connections(
    new_database: NewDatabase, serve: Serve, crowd: Crowd, kind: str
) -> None:
    url = new_database("postgresql")
    server = serve(url, kind=kind)
    records = Records(url)
    silent = [
        crowd.read(server.url, stream_id=f"silent-{number}", user_id=f"u{number}", message="/sleep 100")
        for number in range(300)
    ]
    crowd.wait_for(lambda: all(tape.comments for tape in silent), 60)
    assert server.threads() <= MOST_THREADS
    assert records.connections() <= MOST_CONNECTIONS

    for number in range(50):
        server.begin(f"busy-{number}", "/count 10000 4", f"u{number}")
    busy = [crowd.read(server.url, stream_id=f"busy-{number % 6}", user_id=f"u{number % 6}") for number in range(300)]
    for count in (1, 5, 10):
        crowd.wait_for_frames(count, *busy, timeout=60)
        assert server.threads() <= MOST_THREADS
        assert records.connections() <= MOST_CONNECTIONS
    assert server.get("/health").status_code == 200
    for tape in busy[:100]:
        crowd.leave(tape)
    assert server.threads() <= MOST_THREADS
    assert {tape.status for tape in [*silent, *busy]} == {200}
    assert not any(tape.closes for tape in [*silent, *busy])
