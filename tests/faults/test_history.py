"""One recorded history of everything that may happen to a stream, held against the nine promises of the contract.

Once of the service as it is, where nothing is found, and once with a bug planted against each promise, where each is:
one process with its event log in the database, and two processes, or two and a worker, with one in Redis.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.faults.conftest import MODEL, NewDatabase, Serve, ServeTwo
from tests.faults.names import (
    BROKEN,
    BUSY,
    DESERTED,
    DYING,
    FINE,
    FORGOTTEN,
    HEALTHY,
    PLANTED,
    RESUMED,
    SHOWN,
    STOPPED,
    UNSETTLED,
)
from tests.faults.recorder import Recorder
from tests.faults.records import Records
from tests.faults.wire import Crowd
from tests.history import Database, History
from tests.metrics import wait_until
from tests.promises import PROMISES, breaches
from tests.redis_server import RedisServer
from tests.servers import Server
from tests.upstream import Script, Upstream

STREAM = "/api/v1/stream"
SHORT = {"count": 30, "delay_ms": 10}
SCRIPTS: dict[str, dict[str, Any]] = {
    BROKEN: {"count": 30, "cut_after": 9},
    **{stream: {"count": 20, "stall_after": 9} for stream in (STOPPED, DESERTED, UNSETTLED)},
    **{stream: {"count": 1000, "delay_ms": 20} for stream in DYING},
}
"""What the upstream answers, where that is not SHORT."""

AS_IT_IS = {*HEALTHY, *PLANTED.values()} - {RESUMED}
"""The streams that close where no bug is planted."""
WITH_BUGS = {*HEALTHY, *PLANTED.values()} - {PLANTED[4], PLANTED[5]}
BUGS = "tests.faults.planted_settings"

Plays = Callable[..., History]


def asked(stream: str) -> dict[str, Any]:
    """What starts a stream."""
    message = json.dumps(SCRIPTS.get(stream, SHORT))
    return {"user_id": "u1", "stream_id": stream, "message": message, "model": MODEL, "system": stream}


class Play:
    """What happens to the streams of ``tests.faults.names``, started on one server; their producer is killed at last.

    Whoever reads again, cancels or asks for what is not theirs comes to the other server, where there is one.
    """

    def __init__(
        self, servers: Sequence[Server], producer: Server, recorder: Recorder, upstream: Upstream, crowd: Crowd
    ):
        self.server, self.other = servers[0], servers[-1]
        self.producer = producer
        self.recorder = recorder
        self.upstream = upstream
        self.crowd = crowd

    def run(self, closes: set[str]) -> History:
        """Play it to the end, at which the streams of ``closes`` are closed."""
        self._begin()
        self._disturb()
        self._sample_until({UNSETTLED}, settled=False)
        self.crowd.read(self.server.url, user_id="u1", stream_id=UNSETTLED, last_event_id=1)
        self._sample_until(closes - set(DYING))
        self.producer.kill()
        self.crowd.wait_for_end(*(tape for tape in self.crowd.tapes if tape.url == self.producer.url))
        self.recorder.sample()
        if self.other is self.producer:
            self.producer.start()
        self.recorder.died(DYING)
        self._sample_until(closes)
        replays = [self.crowd.read(self.other.url, user_id="u1", stream_id=stream) for stream in sorted(closes)]
        self.crowd.wait_for(lambda: all(tape.closes or tape.ended for tape in replays))
        return self.recorder.history(self.crowd.tapes)

    def _begin(self) -> None:
        self.upstream.queue(Script(status=503))
        self.server.begin(**asked(BUSY))
        self.upstream.wait_for(lambda calls: len(calls) == 1)
        streams = [stream for stream in (*HEALTHY, *PLANTED.values()) if stream not in {BUSY, RESUMED}]
        readers = [self.crowd.read(self.server.url, **asked(stream)) for stream in streams]
        self.recorder.started(BUSY, *streams)
        self.crowd.wait_for_frames(3, *readers)

    def _disturb(self) -> None:
        ask, server, u1 = self.recorder.ask, self.other, {"user_id": "u1"}
        self._move_reader(DESERTED)
        # Before the upstream is released, so that it could go on only if nobody had cancelled it.
        wait_until(self.server.url, lambda now: now.value("readers_dropped_total", reason="left") >= 1)
        self._move_reader(FINE)
        self._move_reader(PLANTED[2])
        ask(server, "cancel", "DELETE", STREAM + "/{stream_id}", u1, stream=STOPPED)
        ask(server, "resume", "GET", STREAM, {**asked(RESUMED), "last_event_id": 3}, stream=RESUMED, owned=None)
        for stream, owned in (("nobodys", None), (FINE, False), (SHOWN, False)):
            ask(server, "look", "GET", STREAM, {"user_id": "u2", "stream_id": stream}, stream=stream, owned=owned)
        self.crowd.wait_for_frames(FORGOTTEN + 2, *(tape for tape in self.crowd.tapes if tape.stream_id in DYING))
        self.upstream.release()

    def _move_reader(self, stream: str) -> None:
        """Its reader leaves, and resumes."""
        [tape] = [tape for tape in self.crowd.tapes if tape.stream_id == stream]
        self.crowd.leave(tape)
        self.crowd.read(self.other.url, user_id="u1", stream_id=stream, last_event_id=1)

    def _sample_until(self, closes: set[str], *, settled: bool = True, seconds: float = 60) -> Database:
        """Look at the database until these streams are closed, and ``settled`` as well."""
        deadline = time.monotonic() + seconds
        while True:
            database = self.recorder.sample()
            looked_at = [database[stream] for stream in closes]
            if all(stored.closed and (stored.costs[0].settled or not settled) for stored in looked_at):
                return database
            assert time.monotonic() < deadline, {stream: database[stream].status for stream in closes}
            time.sleep(0.02)


@pytest.fixture
def play(serve: Serve, serve_two: ServeTwo, upstream: Upstream, crowd: Crowd) -> Plays:
    """Record a history: ``play(url, closes)``, with ``redis`` on two servers; ``STREAM_PRODUCERS`` may be a worker."""

    def run(url: str, closes: set[str], redis: RedisServer | None = None, **options: str) -> History:
        options["STREAM_LEASE_SECONDS"] = "3"
        if redis is None:
            servers = [serve(url, **options)]
        else:
            options["REDIS_URL"] = redis.url
            servers = serve_two(url, "daphne", "uvicorn", **options)
        works = options.get("STREAM_PRODUCERS") == "workers"
        producer = serve(url, kind="worker", **options) if works else servers[0]
        return Play(servers, producer, Recorder(Records(url), upstream), upstream, crowd).run(closes)

    return run


def check_nothing_is_found(history: History, closes: set[str]) -> None:
    assert breaches(history) == []
    assert history.database.keys() == closes
    assert {call.stream for call in history.calls} == closes
    assert {stored.status for stored in history.database.values()} == {"done", "error", "cancelled"}


def check_each_is_found(history: History) -> None:
    found = {(each.promise, each.stream) for each in breaches(history)}
    assert {promise for promise, _ in found} == PROMISES.keys()
    assert found >= set(PLANTED.items())
    assert not [each for each in found if each[1] in HEALTHY]


def test_nothing_is_found_in_the_history_of_the_service_as_it_is(database_url: str, play: Plays) -> None:
    check_nothing_is_found(play(database_url, AS_IT_IS), AS_IT_IS)


@pytest.mark.parametrize("producers", ["inline", "workers"])
def test_nothing_is_found_in_the_history_of_two_processes_and_a_redis(
    new_database: NewDatabase, redis: RedisServer, play: Plays, producers: str
) -> None:
    history = play(new_database("postgresql"), AS_IT_IS, redis, STREAM_PRODUCERS=producers)
    check_nothing_is_found(history, AS_IT_IS)


def test_the_bug_planted_against_each_promise_is_found(new_database: NewDatabase, play: Plays) -> None:
    check_each_is_found(play(new_database("sqlite"), WITH_BUGS, DJANGO_SETTINGS_MODULE=BUGS))


def test_the_bug_planted_against_each_promise_is_found_with_two_processes_and_a_redis(
    new_database: NewDatabase, redis: RedisServer, play: Plays
) -> None:
    check_each_is_found(play(new_database("postgresql"), WITH_BUGS, redis, DJANGO_SETTINGS_MODULE=BUGS))
