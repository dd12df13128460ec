"""``manage.py prune_streams``: what it takes, what stays, and what is answered afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.commands import run
from tests.contract.wire import STREAM, client
from tests.databases import manage
from tests.faults.records import Records
from tests.frames import Parser, read_all
from tests.servers import Server
from tests.upstream import Upstream

EVERYTHING = ("prune_streams", "--older-than", "0")
COUNT_EVENTS = (
    "SELECT count(*) AS n FROM streaming_streamevent e JOIN streaming_stream s ON s.id = e.stream_id"
    " WHERE s.stream_id = ?"
)


def kept(records: Records, stream_id: str) -> dict[str, Any]:
    """What must outlive pruning."""
    [stream] = records.rows("SELECT * FROM streaming_stream WHERE stream_id = ?", stream_id)
    gone = {"message", "system", "pruned_at"}
    facts = {name: value for name, value in stream.items() if name not in gone}
    return {"stream": facts, "head": records.head(stream_id), "cost": records.cost(stream_id)}


def pruned(records: Records) -> list[str]:
    """The streams that are tombstones."""
    rows = records.rows("SELECT stream_id FROM streaming_stream WHERE pruned_at IS NOT NULL ORDER BY stream_id")
    return [row["stream_id"] for row in rows]


def test_a_pruned_stream_is_410_and_never_bills_again(database_url: str, serve: Callable[..., Server]) -> None:
    records = Records(database_url)
    with Upstream() as upstream:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url, "STREAM_DEFAULT_MODEL": "gpt-4o-mini"}
        server = serve(database_url, **env)
        asked: dict[str, Any] = {"user_id": "u1", "stream_id": "s1", "message": "my secret", "system": "secret too"}
        frames = read_all(server.url, **asked)
        before, shown = kept(records, "s1"), server.snapshot("s1")
        manage(database_url, *EVERYTHING)
        assert kept(records, "s1") == before
        assert records.rows(COUNT_EVENTS, "s1")[0]["n"] == 0
        assert pruned(records) == ["s1"]
        [row] = records.rows("SELECT message, system FROM streaming_stream")
        assert row == {"message": "", "system": None}
        after = server.snapshot("s1")
        assert after["pruned_at"] is not None
        assert after == {**shown, "message": "", "text": "", "pruned_at": after["pruned_at"]}
        assert after["last_event_id"] == frames[-1].event_id
        asker = client(server)
        same: dict[str, Any] = {"user_id": "u1", "stream_id": "s1"}
        for answer in (
            asker.get(**same),
            asker.get(**same, last_event_id=frames[-1].event_id),
            asker.get(**same, last_event_id=10**6),
            asker.post(asked),
            asker.post({**asked, "message": "something else"}),
            asker.begin(**asked),
        ):
            assert (answer.status, answer.json["error_type"]) == (410, "pruned")
        assert len(upstream.calls) == 1
        [listed] = server.get("/api/v1/streams", user_id="u1").json()["streams"]
        assert (listed["message"], listed["total_cost"]) == ("", shown["total_cost"])
        again = run(database_url, *EVERYTHING)
        assert again.stdout == "Pruned 0 streams, 0 events.\n"
        assert server.snapshot("s1") == after


def test_only_what_is_closed_old_enough_and_the_owners(database_url: str, serve: Callable[..., Server]) -> None:
    server, records = serve(database_url), Records(database_url)
    for owner, name in (("u1", "s1"), ("u1", "s2"), ("u2", "s3")):
        read_all(server.url, user_id=owner, stream_id=name, message="/count 2 0")
    server.begin("live", "/sleep 300")
    old = "'2020-01-01 00:00:00+00:00'"
    records.rows(f"UPDATE streaming_stream SET finished_at = {old} WHERE stream_id IN ('s1', 's3')")
    told = run(database_url, "prune_streams")
    assert (told.returncode, "STREAM_RETENTION_DAYS is 0" in told.stdout) == (0, True)
    assert run(database_url, *EVERYTHING, "--dry-run").stdout == "3 streams would be pruned.\n"
    assert run(database_url, "prune_streams", "--dry-run", STREAM_RETENTION_DAYS="30").stdout.startswith("2 ")
    assert pruned(records) == []
    manage(database_url, "prune_streams", "--owner", "open:u1", STREAM_RETENTION_DAYS="30")
    assert pruned(records) == ["s1"]
    manage(database_url, "prune_streams", "--owner", "session:u2", "--older-than", "0")
    manage(database_url, "prune_streams", "--older-than", "0.5")
    assert pruned(records) == ["s1", "s3"]
    told = run(database_url, *EVERYTHING)
    assert told.stdout.splitlines() == ["1 of 1 streams, 3 events", "Pruned 1 streams, 3 events."]
    assert server.snapshot("live")["status"] == "streaming"


@pytest.mark.parametrize(
    "wrong", [("--older-than", "-1"), ("--older-than", "nan"), ("--owner", "u1"), ("--owner", ":")]
)
def test_what_makes_no_sense_is_refused(sqlite_url: str, wrong: tuple[str, ...]) -> None:
    told = run(sqlite_url, "prune_streams", *wrong)
    assert told.returncode == 2
    assert wrong[0] in told.stderr


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_a_reader_is_disconnected_and_then_meets_410(
    database_url: str, serve: Callable[..., Server], kind: str
) -> None:
    server = serve(database_url, kind=kind, STREAM_CONNECTION_BYTES=str(2**30), DEMO_TOKENS_PER_SECOND="0")
    asked: dict[str, Any] = {"user_id": "u1", "stream_id": "s1"}
    read_all(server.url, **asked, message="/count 150000 0", timeout=60)
    with client(server).open("GET", f"{STREAM}?{urlencode(asked)}") as response:
        body = response.read1()
        manage(database_url, *EVERYTHING)
        began = time.monotonic()
        body += response.read()
        ended = time.monotonic()
    frames = list(Parser().feed(body))
    if kind == "uvicorn":  # daphne has by now put all that it could read into its memory
        assert ended - began < 2
        assert not frames[-1].is_terminal
    assert [frame.event_id for frame in frames] == list(range(len(frames)))
    assert client(server).get(**asked, last_event_id=frames[-1].event_id).status == 410


def test_two_at_once_beside_a_server_that_writes(database_url: str, serve: Callable[..., Server]) -> None:
    server, records = serve(database_url), Records(database_url)
    names = [f"s{number:03}" for number in range(150)]
    asker = client(server)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda name: asker.post({"user_id": "u1", "stream_id": name, "message": "/count 20 0"}), names))
        server.begin("live", "/count 4000 40")
        commands = [pool.submit(run, database_url, *EVERYTHING) for _ in range(2)]
        told = [command.result().stdout.splitlines()[-1] for command in commands]
    assert sum(int(line.split()[1]) for line in told) == 150
    assert sum(int(line.split()[3]) for line in told) == 150 * 21
    assert pruned(records) == names
    ended = asker.send("DELETE", "/api/v1/stream/live?user_id=u1").json
    assert (ended["status"], ended["text"][:6]) == ("cancelled", "1 2 3 ")


def test_a_title_goes_with_the_last_text_of_its_conversation(database_url: str, serve: Callable[..., Server]) -> None:
    server, records = serve(database_url), Records(database_url)
    for name, conversation in (("s1", "c"), ("s2", "c"), ("s3", "d")):
        read_all(server.url, user_id="u1", stream_id=name, message=f"/echo {name}", conversation_id=conversation)
    records.rows("UPDATE streaming_conversation SET title = 'Mine'")
    records.rows("UPDATE streaming_stream SET finished_at = '2020-01-01 00:00:00+00:00' WHERE stream_id <> 's2'")
    manage(database_url, "prune_streams", "--older-than", "1")
    shown = server.get("/api/v1/conversations", user_id="u1").json()["conversations"]
    titles = {each["conversation_id"]: (each["title"], each["last_message"], each["streams"]) for each in shown}
    assert titles == {"c": ("Mine", "/echo s2", 2), "d": ("", None, 1)}
    assert all(each["total_cost"] > 0 for each in shown)


CONTENT = "The app crashes with error 0x77. Please mend it today."
TEXTS = ("content", "subject", "from_email", "summary", "action_items", "reasons", "inputs")


def test_what_triage_made_of_a_message_goes_with_its_stream(database_url: str, serve: Callable[..., Server]) -> None:
    records = Records(database_url)
    asker = client(serve(database_url))
    mail = {"user_id": "u1", "content": CONTENT, "subject": "0x77", "from_email": "dana@example.com"}
    for name, user in (("t1", "u1"), ("t2", "u2")):
        assert asker.post({**mail, "user_id": user, "artifact_id": name}, path="/api/triage").status == 200
    manage(database_url, *EVERYTHING, "--owner", "open:u1")
    gone, stays = records.rows("SELECT * FROM magic_triageresult ORDER BY stream_id")
    assert gone["state"] == "forgotten" and gone["category"] == stays["category"] == "bug"
    assert not any("0x77" in str(value) or "dana" in str(value) for value in gone.values())
    assert all(stays[name] for name in TEXTS)
    assert asker.get("/api/triage/t1", user_id="u1").status == 410
    again = asker.post({**mail, "artifact_id": "t1"}, path="/api/triage")
    assert again.status == 410 and len(records.rows("SELECT 1 FROM streaming_costrecord")) == 2
    assert asker.get("/api/triage/t2", user_id="u2").status == 200
