"""§4: cancels at random moments around the last token. Each stream ends once, and is billed once."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.conftest import MODEL, NewDatabase, Serve
from tests.faults.recorder import Recorder
from tests.faults.records import Records
from tests.faults.wire import Crowd
from tests.promises import breaches
from tests.servers import Server
from tests.upstream import Upstream

pytestmark = pytest.mark.timeout(240)

CANCELS = 150
THREADS = 8
DELTAS, DELAY_MS = 5, 40
STEP_SECONDS = 0.005
CANCEL = "/api/v1/stream/{stream_id}"


@dataclass
class Moment:
    """Around the last token, on however fast a machine: later after a cancel in time, earlier after one too late."""

    chance: random.Random
    seconds: float = DELTAS * DELAY_MS / 1000

    def wait(self) -> None:
        time.sleep(max(0.0, self.chance.gauss(self.seconds, 0.02)))

    def learn(self, status: str) -> None:
        self.seconds += STEP_SECONDS if status == "cancelled" else -STEP_SECONDS


@pytest.mark.parametrize(("kind", "database", "seed"), [("daphne", "sqlite", 1), ("uvicorn", "postgresql", 2)])
def test_150_cancels_around_the_last_token_on_each_database(
    new_database: NewDatabase, serve: Serve, upstream: Upstream, crowd: Crowd, kind: str, database: str, seed: int
) -> None:
    url = new_database(database)
    server, moment = serve(url, kind=kind), Moment(random.Random(seed))
    recorder = Recorder(Records(url), upstream)
    streams = [f"stream-{number}" for number in range(CANCELS)]
    recorder.started(*streams)
    readers = [crowd.read(server.url, user_id="u1", **asked(stream)) for stream in streams[::10]]

    def begin_and_cancel(stream: str) -> str:
        server.post("/api/v1/stream", {"user_id": "u1", **asked(stream)})
        moment.wait()
        status = cancelled(recorder, server, stream)
        moment.learn(status)
        return status

    with ThreadPoolExecutor(THREADS) as pool:
        reached = dict(zip(streams, pool.map(begin_and_cancel, streams), strict=True))
    crowd.wait_for_end(*readers)
    history = recorder.history(crowd.tapes)
    assert breaches(history) == []
    assert {stream: stored.status for stream, stored in history.database.items()} == reached
    assert all(reader.closes for reader in readers)
    assert len(upstream.calls) == CANCELS
    assert Counter(reached.values()).keys() == {"done", "cancelled"}, "the moments are to be on both sides of the end"


def asked(stream: str) -> dict[str, Any]:
    """What starts a stream, here by whoever comes first: a reader, or the one that cancels it."""
    script = json.dumps({"count": DELTAS, "delay_ms": DELAY_MS})
    return {"stream_id": stream, "message": script, "model": MODEL, "system": stream}


def cancelled(recorder: Recorder, server: Server, stream: str) -> str:
    """Cancel it; the status that it reached."""
    while True:
        answer = recorder.ask(server, "cancel", "DELETE", CANCEL, {"user_id": "u1"}, stream=stream)
        if answer.status_code != 202:  # else the disk is slow
            status: str = answer.json()["status"]
            return status
