"""``/api/v1/conversations``: listed, searched, renamed, erased; on both databases."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.wire import JSON, Answer, Client, client, fresh, session
from tests.databases import manage
from tests.faults.records import Records
from tests.frames import connect, read_all
from tests.servers import Server
from tests.upstream import Script, Upstream

PATH = "/api/v1/conversations"
FIELDS = {"conversation_id", "title", "created_at", "updated_at", "streams", "total_cost", "last_message"}


@pytest.fixture(params=["daphne", "on_postgresql"])
def asker(request: pytest.FixtureRequest) -> Client:
    """Somebody who asks a server on each database."""
    return client(request.getfixturevalue(request.param))


def say(asker: Client, user: str, message: str, **asked: Any) -> dict[str, Any]:
    """Ask, and wait for the end; the snapshot."""
    started = asker.begin(user_id=user, message=message, **asked)
    assert started.status == 201, started.body
    return asker.closed(started.json["stream_id"], user_id=user)


def listed(asker: Client, user: str, **parameters: Any) -> list[str]:
    """The ids of a page."""
    answer = asker.get(PATH, user_id=user, **parameters)
    assert answer.status == 200, answer.body
    return [shown["conversation_id"] for shown in answer.json["conversations"]]


def rename(asker: Client, name: str, user: str | None, title: Any, **headers: str) -> Answer:
    """PATCH a title."""
    target = f"{PATH}/{name}" + (f"?user_id={user}" if user else "")
    return asker.send(
        "PATCH", target, headers={"Content-Type": JSON, **headers}, body=json.dumps({"title": title}).encode()
    )


def erase(asker: Client, name: str, user: str | None, **headers: str) -> Answer:
    """DELETE a conversation."""
    return asker.send("DELETE", f"{PATH}/{name}" + (f"?user_id={user}" if user else ""), headers=headers)


def test_the_first_message_makes_it_and_the_next_ones_go_on(asker: Client, user: str) -> None:
    shown = [say(asker, user, f"/echo {word}", conversation_id="c") for word in ("one", "two", "three")]
    answer = asker.get(PATH, user_id=user)
    [conversation] = answer.json["conversations"]
    assert answer.json["next"] is None
    assert answer.header("Cache-Control") == "no-store"
    assert set(conversation) == FIELDS
    assert (conversation["conversation_id"], conversation["streams"]) == ("c", 3)
    assert (conversation["title"], conversation["last_message"]) == ("/echo one", "/echo three")
    assert conversation["total_cost"] == pytest.approx(sum(each["total_cost"] for each in shown), rel=1e-12)
    assert conversation["created_at"] <= shown[0]["created_at"] <= conversation["updated_at"]


def test_the_one_with_the_newest_message_comes_first_and_pages_are_stable(asker: Client, user: str) -> None:
    for name in ("a", "b", "c", "d", "a"):
        say(asker, user, "/count 1 0", conversation_id=name)
    say(asker, user, "/count 1 0")
    say(asker, fresh("u"), "/count 1 0", conversation_id="e")
    assert listed(asker, user) == ["a", "d", "c", "b"]
    page = asker.get(PATH, user_id=user, limit=2).json
    say(asker, user, "/count 1 0", conversation_id="b")
    say(asker, user, "/count 1 0", conversation_id="d")
    assert listed(asker, user, limit=2, before=page["next"]) == ["c"]
    assert asker.get(PATH, user_id=user, limit=4).json["next"] is None


def test_a_long_message_is_shortened_to_one_line(asker: Client, user: str) -> None:
    say(asker, user, "/echo  first\n line " + "word " * 50, conversation_id="c")
    say(asker, user, "/echo " + "x" * 500, conversation_id="c")
    [conversation] = asker.get(PATH, user_id=user).json["conversations"]
    assert conversation["title"].startswith("/echo first line word word")
    assert conversation["title"].endswith("word…")
    assert len(conversation["title"]) <= 81
    assert conversation["last_message"] == "/echo " + "x" * 74 + "…"


def test_a_search_looks_into_titles_and_messages_whatever_their_case(asker: Client, user: str) -> None:
    say(asker, user, "/echo apples", conversation_id="a")
    say(asker, user, "/echo Ärger 100%", conversation_id="b")
    say(asker, user, "/echo pears", conversation_id="b")
    assert rename(asker, "a", user, "Fruit (of the tree)").status == 200
    assert listed(asker, user, q="APPLES") == ["a"]
    assert listed(asker, user, q="Pears") == ["b"]
    assert listed(asker, user, q="FRUIT (of") == ["a"]
    assert listed(asker, user, q="echo") == ["b", "a"]
    assert listed(asker, user, q="100%") == ["b"]
    for nothing in ("nowhere", "_", "a.p", ".*", "\\", "'", "[", "%%", "\0nowhere"):
        assert listed(asker, user, q=nothing) == [], nothing
    assert listed(asker, user, q="ÄRGER") == listed(asker, user, q="ärger") == ["b"]
    streams = asker.get("/api/v1/streams", user_id=user, q="ÄRGER").json["streams"]
    assert [shown["message"] for shown in streams] == ["/echo Ärger 100%"]


@pytest.mark.parametrize(
    "wrong",
    [{"limit": "0"}, {"limit": "101"}, {"q": "a" * 201}, {"before": "c"}, {"before": "1:a b"}, {"before": ""}],
)
def test_a_bad_parameter_of_the_list_is_400(anyone: Client, user: str, wrong: dict[str, Any]) -> None:
    assert list(anyone.get(PATH, **{"user_id": user, **wrong}).errors) == list(wrong)
    assert list(anyone.get(PATH).errors) == ["user_id"]


def test_a_title_is_kept_until_it_is_taken_back(asker: Client, user: str) -> None:
    say(asker, user, "/echo one", conversation_id="c")
    answer = rename(asker, "c", user, "  Mine 👩‍🚀  ")
    assert (answer.status, answer.json["title"], set(answer.json)) == (200, "Mine 👩‍🚀", FIELDS)
    say(asker, user, "/echo two", conversation_id="c")
    assert asker.get(PATH, user_id=user).json["conversations"][0]["title"] == "Mine 👩‍🚀"
    assert rename(asker, "c", user, None).json["title"] == "/echo one"
    by_body = {"Content-Type": JSON}
    body = json.dumps({"user_id": user, "title": "x"}).encode()
    assert asker.send("PATCH", f"{PATH}/c", headers=by_body, body=body).json["title"] == "x"


@pytest.mark.parametrize("title", ["", "  ", 7, True, ["x"], "x" * 201, "a\nb", "a\0b", "\ud800"])
def test_a_bad_title_is_400_and_says_why(anyone: Client, user: str, title: Any) -> None:
    say(anyone, user, "/echo one", conversation_id="c")
    assert set(rename(anyone, "c", user, title).errors) == {"title"}
    empty = anyone.send("PATCH", f"{PATH}/c?user_id={user}", headers={"Content-Type": JSON}, body=b"{}")
    assert set(empty.errors) == {"title"}
    assert anyone.get(PATH, user_id=user).json["conversations"][0]["title"] == "/echo one"


def test_a_stranger_sees_renames_and_erases_nothing(guarded: Server) -> None:
    owner, _ = session(guarded)
    stranger, _ = session(guarded)
    stream_id = owner.begin(message="/echo mine", conversation_id="c").json["stream_id"]
    assert stranger.get(PATH).json["conversations"] == []
    assert rename(stranger, "c", None, "x").body == rename(stranger, fresh(), None, "x").body
    assert rename(stranger, "c", None, "x").status == 404
    assert erase(stranger, "c", None).body == erase(stranger, fresh(), None).body
    assert erase(stranger, "a%20b", None).status == erase(stranger, "c", None).status == 404
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "none"}):
        assert rename(owner, "c", None, "x", **headers).status == 403
        assert erase(owner, "c", None, **headers).status == 403
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {}):
        assert erase(client(guarded), "c", None, **headers).status == 401
    assert rename(client(guarded), "c", None, "x").status == 401
    assert owner.closed(stream_id)["text"] == "mine"
    assert erase(owner, "c", None, **{"Sec-Fetch-Site": "same-origin"}).status == 204


def test_a_child_is_in_its_parents_conversation(asker: Client, user: str) -> None:
    say(asker, user, "/echo root", stream_id="s1", conversation_id="c")
    assert say(asker, user, "/echo child", stream_id="s2", parent_id="s1")["conversation_id"] == "c"
    wrong = asker.begin(user_id=user, stream_id="s3", message="/echo x", parent_id="s1", conversation_id="d")
    assert set(wrong.errors) == {"conversation_id"}
    assert asker.snapshot("s3", user_id=user).status == 404
    assert listed(asker, user) == ["c"], "a refused start makes no conversation"
    alone = say(asker, user, "/echo alone", stream_id="s4")
    assert alone["conversation_id"] is None
    assert say(asker, user, "/echo x", stream_id="s5", parent_id="s4", conversation_id="e")["parent_id"] == "s4"
    again = asker.begin(user_id=user, stream_id="s2", message="/echo child", parent_id="s1")
    assert again.status == 200, "the conversation that it was given is no part of what was asked"


def test_erasing_forgets_the_text_and_keeps_the_numbers(asker: Client, user: str) -> None:
    asked = {"conversation_id": "c", "system": "be secret"}
    before = [say(asker, user, f"/echo secret {name}", stream_id=name, **asked) for name in ("s1", "s2")]
    say(asker, user, "/echo other", stream_id="s3", conversation_id="d")
    rename(asker, "c", user, "secret title")
    assert erase(asker, "c", user).status == 204
    assert erase(asker, "c", user).status == 204, "idempotent"
    assert listed(asker, user) == ["d"]
    assert listed(asker, user, q="secret") == []
    streams = asker.get("/api/v1/streams", user_id=user).json["streams"]
    assert [shown["stream_id"] for shown in streams] == ["s3"]
    assert asker.get("/api/v1/streams", user_id=user, conversation_id="c").json["streams"] == []
    for was in before:
        answer = asker.snapshot(was["stream_id"], user_id=user)
        assert b"secret" not in answer.body
        assert answer.json["pruned_at"] is not None
        gone = {"message": "", "text": "", "pruned_at": answer.json["pruned_at"]}
        assert answer.json == {**was, **gone}
    name: dict[str, Any] = {"user_id": user, "stream_id": "s1"}
    assert asker.get(**name).status == 410
    assert asker.get(**name, last_event_id=0).status == 410
    assert asker.begin(**name, message="/echo secret s1", **asked).status == 410
    assert asker.begin(**name, message="/echo another").status == 410
    assert rename(asker, "c", user, "x").status == 404
    cancelled = asker.send("DELETE", f"/api/v1/stream/s1?user_id={user}")
    assert (cancelled.status, cancelled.json["status"]) == (200, "done")


def test_an_erased_conversation_takes_no_more_messages(asker: Client, user: str) -> None:
    say(asker, user, "/echo one", stream_id="s1", conversation_id="c")
    assert erase(asker, "c", user).status == 204
    for asked in ({"conversation_id": "c"}, {"parent_id": "s1"}, {"parent_id": "s1", "conversation_id": "c"}):
        answer = asker.begin(user_id=user, stream_id="s2", message="/echo two", **asked)
        assert (answer.status, answer.json["error_type"]) == (410, "conversation_deleted")
    assert asker.snapshot("s2", user_id=user).status == 404
    assert listed(asker, user) == []


def test_live_streams_are_cancelled_first_and_their_readers_told(asker: Client, user: str) -> None:
    for name in ("s1", "s2"):
        asker.begin(user_id=user, stream_id=name, message="/count 200000 50", conversation_id="c")
    with connect(asker.server.url, user_id=user, stream_id="s1") as (_, frames):
        next(frames)
        assert erase(asker, "c", user).status == 204
        rest = list(frames)
    assert not any(frame.is_terminal for frame in rest[:-1])
    for name in ("s1", "s2"):
        shown = asker.snapshot(name, user_id=user).json
        assert (shown["status"], shown["text"], shown["message"]) == ("cancelled", "", "")
        assert shown["completion_tokens"] > 0
        assert shown["total_cost"] > 0
        assert asker.get(user_id=user, stream_id=name).status == 410


def test_starts_and_an_erasure_at_once_leave_no_text_behind(asker: Client) -> None:
    for _ in range(4):
        user = fresh("u")
        say(asker, user, "/echo first", conversation_id="c")

        def start(number: int, user: str = user) -> int:
            if number == 5:
                return erase(asker, "c", user).status
            return asker.begin(user_id=user, stream_id=f"s{number}", message="/count 50 0", conversation_id="c").status

        with ThreadPoolExecutor(10) as pool:
            statuses = list(pool.map(start, range(10)))
        assert statuses.pop(5) in {202, 204}
        assert set(statuses) <= {201, 410}
        assert erase(asker, "c", user).status == 204
        for number, status in zip([0, 1, 2, 3, 4, 6, 7, 8, 9], statuses, strict=True):
            shown = asker.snapshot(f"s{number}", user_id=user)
            assert shown.status == (404 if status == 410 else 200)
            assert status == 410 or (shown.json["message"], shown.json["text"]) == ("", "")


def test_with_the_producer_dead_it_is_done_once_its_stream_is_closed(
    sqlite_url: str, serve: Callable[..., Server]
) -> None:
    producing, other = (serve(sqlite_url, STREAM_LEASE_SECONDS="8") for _ in range(2))
    producing.begin("s1", "/count 1000 20", conversation_id="c")
    with connect(producing.url, user_id="u1", stream_id="s1") as (_, frames):
        next(frames)
    # Just after it has renewed its lease, which is to outlast the five seconds that an erasure waits.
    query = "SELECT renewed FROM streaming_process ORDER BY id LIMIT 1"
    before = Records(sqlite_url).rows(query)
    while Records(sqlite_url).rows(query) == before:
        time.sleep(0.02)
    producing.kill()
    assert erase(client(other), "c", "u1").status == 202
    deadline = time.monotonic() + 30
    while (shown := other.snapshot("s1"))["pruned_at"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (shown["status"], shown["message"], shown["text"]) == ("cancelled", "", "")


def test_a_path_through_a_pruned_turn_sends_nothing_of_it(sqlite_url: str, serve: Callable[..., Server]) -> None:
    with Upstream() as upstream:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url, "STREAM_DEFAULT_MODEL": "gpt-4o-mini"}
        server = serve(sqlite_url, **env)
        upstream.queue(Script(text="an answer"))
        read_all(server.url, user_id="u1", stream_id="s1", message="one", conversation_id="c")
        manage(sqlite_url, "prune_streams", "--older-than", "0")
        read_all(server.url, user_id="u1", stream_id="s2", message="two", conversation_id="c")
        assert [turn["content"] for turn in upstream.calls[-1].body["messages"]] == ["two"]
        assert len(upstream.calls) == 2


def test_the_room_of_the_model_is_kept(sqlite_url: str, serve: Callable[..., Server]) -> None:
    """Of a model that tells no window: 400 tokens, half of them for the answer."""
    with Upstream() as upstream:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url, "STREAM_DEFAULT_MODEL": "my-model"}
        server = serve(sqlite_url, OPENAI_MODELS="my-model", STREAM_CONTEXT_TOKENS="400", **env)
        for number in range(6):
            upstream.queue(Script(pieces=(f"{number}" * 80,)))
            message = f"{number} " + "q" * 158
            read_all(server.url, user_id="u1", stream_id=f"s{number}", message=message, conversation_id="c")
        sent = [(turn["role"], turn["content"][0]) for turn in upstream.calls[-1].body["messages"]]
        turns = [("user", "3"), ("assistant", "3"), ("user", "4"), ("assistant", "4")]
        assert sent == [*turns, ("user", "5")], "each turn is 60 tokens, the message 40"
        read_all(server.url, user_id="u1", stream_id="s6", message="x" * 3000, conversation_id="c")
        assert [turn["content"] for turn in upstream.calls[-1].body["messages"]] == ["x" * 3000]
