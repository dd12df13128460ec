"""Sealing beside live servers: what clients see stays the same, also where the process that seals is killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.commands import run
from tests.contract.wire import client
from tests.faults.records import Records
from tests.frames import read_all
from tests.servers import Server
from tests.upstream import Script, Upstream

Serve = Callable[..., Server]

ROWS = "SELECT count(*) AS n FROM streaming_streamevent"
UNSEALED = "SELECT count(*) AS n FROM streaming_stream WHERE sealed_at IS NULL"
STATES = """
    SELECT s.stream_id, h.next_event_id AS events,
        (SELECT count(*) FROM streaming_streamevent e WHERE e.stream_id = s.id) AS rows,
        (SELECT count(*) FROM streaming_streamrecord r WHERE r.stream_id = s.id) AS parts
    FROM streaming_stream s JOIN streaming_streamhead h ON h.stream_id = s.id
"""


def _count(records: Records, query: str) -> int:
    return int(records.rows(query)[0]["n"])


def _wait_until_sealed(records: Records) -> None:
    deadline = time.monotonic() + 60
    while _count(records, UNSEALED):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert _count(records, ROWS) == 0


def test_everything_about_a_stream_is_as_before(database_url: str, serve: Serve) -> None:
    records = Records(database_url)
    with Upstream() as upstream:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url, "STREAM_DEFAULT_MODEL": "gpt-4o-mini"}
        server = serve(database_url, STREAM_SEAL_SECONDS="100", **env)
        asked: dict[str, Any] = {"user_id": "u1", "conversation_id": "c1"}
        upstream.queue(Script(pieces=("Good ", "m\u00f6rning", " \U0001f600.\n")))
        first = read_all(server.url, **asked, stream_id="s1", message="hello")
        upstream.queue(Script(pieces=("Broken ", "off"), cut_after=2))
        second = read_all(server.url, **asked, stream_id="s2", message="and?")
        counted = read_all(server.url, user_id="u1", stream_id="s3", message="/count 700 0", model="demo")
        before = [server.snapshot(name) for name in ("s1", "s2", "s3")]
        server.terminate()
        server = serve(database_url, STREAM_SEAL_SECONDS="0", **env)
        _wait_until_sealed(records)
        assert [server.snapshot(name) for name in ("s1", "s2", "s3")] == before
        for name, frames in (("s1", first), ("s2", second), ("s3", counted)):
            for after in (-1, 0, len(frames) - 2):
                place = {} if after < 0 else {"last_event_id": after}
                again = read_all(server.url, user_id="u1", stream_id=name, **place)
                assert [frame.raw for frame in again] == [frame.raw for frame in frames[after + 1 :]]
        asker = client(server)
        assert asker.get(user_id="u1", stream_id="s3", last_event_id=700).status == 204
        ahead = asker.get(user_id="u1", stream_id="s3", last_event_id=701)
        assert (ahead.status, ahead.json["latest_event_id"]) == (409, 700)
        assert asker.send("DELETE", "/api/v1/stream/s3?user_id=u1").json == before[2]
        upstream.queue(Script(pieces=("Yes",)))
        read_all(server.url, **asked, stream_id="s4", message="go on")
        told = [turn["content"] for turn in upstream.calls[-1].body["messages"]]
        assert told == ["hello", "Good m\u00f6rning \U0001f600.\n", "and?", "Broken off", "go on"]
        _wait_until_sealed(records)
        reconciled = run(database_url, "reconcile_costs")
        assert reconciled.returncode == 0, reconciled.stdout
        assert "4 compared with their terminal events" in reconciled.stdout
        assert asker.send("DELETE", "/api/v1/conversations/c1?user_id=u1").status == 204
        assert server.snapshot("s1")["text"] == ""
        assert "Pruned 1 streams, 701 events." in run(database_url, "prune_streams", "--older-than", "0").stdout
        assert asker.get(user_id="u1", stream_id="s3").status == 410
        assert _count(records, "SELECT count(*) AS n FROM streaming_streamrecord") == 0


def test_where_the_process_that_seals_is_killed_there_are_rows_or_records(database_url: str, serve: Serve) -> None:
    records = Records(database_url)
    server = serve(database_url, STREAM_SEAL_SECONDS="100")
    names = [f"s{number}" for number in range(30)]
    with ThreadPoolExecutor(8) as pool:
        ask = lambda name: read_all(server.url, user_id="u1", stream_id=name, message="/count 200 0")  # noqa: E731
        before = list(pool.map(ask, names))
    server.terminate()
    sealers = [serve(database_url, STREAM_SEAL_SECONDS="0", STREAM_LEASE_SECONDS="2") for _ in range(2)]
    while _count(records, UNSEALED) > 27:
        time.sleep(0.001)
    sealers[0].kill()
    for state in records.rows(STATES):
        whole = (state["rows"] == state["events"] and not state["parts"]) or (not state["rows"] and state["parts"])
        assert whole, state
    _wait_until_sealed(records)
    for name, frames in zip(names[::3], before[::3], strict=True):
        again = read_all(sealers[1].url, user_id="u1", stream_id=name)
        assert [frame.raw for frame in again] == [frame.raw for frame in frames]
