"""§3 ``conversation_id`` and ``parent_id``, §12.11; promises 3 and 9 as the provider sees them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import databases
from tests.contract.conftest import running
from tests.contract.wire import CANARY, CANARY_KEY, Client, client, fresh, session
from tests.servers import Server
from tests.upstream import Script, Upstream

MODEL = "openai/test"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A provider whose calls can be counted and read."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite, upstream: Upstream) -> Iterator[Server]:
    """A server that asks it."""
    settings = {"OPENAI_API_KEY": CANARY_KEY, "OPENAI_BASE_URL": upstream.url, "STREAM_DEFAULT_MODEL": MODEL}
    with running(tmp_path_factory, sqlite.new(), **settings) as server:
        yield server


@pytest.fixture
def asker(served: Server) -> Client:
    """Somebody who asks that server."""
    return client(served)


def say(asker: Client, user: str, message: str, **asked: Any) -> list[str]:
    """Ask, wait for the end, and tell which events came."""
    frames = asker.post({"user_id": user, "message": message, **asked}).frames
    return [frame.type for frame in frames if frame.type != "message_chunk"]


def turns(upstream: Upstream) -> list[tuple[str, str]]:
    """What the last call sent."""
    return [(turn["role"], turn["content"]) for turn in upstream.calls[-1].body["messages"]]


def test_an_unknown_parent_is_404_and_nothing_is_asked(asker: Client, upstream: Upstream, user: str) -> None:
    calls = len(upstream.calls)
    answer = asker.post({"user_id": user, "stream_id": "s1", "message": CANARY, "parent_id": fresh()})
    assert answer.status == 404
    assert asker.snapshot("s1", user_id=user).status == 404
    assert len(upstream.calls) == calls


def test_a_foreign_parent_is_404_too(guarded: Server) -> None:
    one, other = session(guarded)[0], session(guarded)[0]
    one.post({"stream_id": "root-of-one", "message": "/count 1 0"})
    foreign = other.post({"stream_id": "s1", "message": CANARY, "parent_id": "root-of-one"})
    unknown = other.post({"stream_id": "s1", "message": CANARY, "parent_id": "root-of-two"})
    assert foreign.status == unknown.status == 404
    assert foreign.body == unknown.body


def test_the_turns_on_the_path_to_the_parent_are_sent(asker: Client, upstream: Upstream, user: str) -> None:
    for number, parent in enumerate([None, "s0", "s1"]):
        upstream.queue(Script(text=f"answer {number}"))
        say(asker, user, f"question {number}", stream_id=f"s{number}", parent_id=parent, conversation_id="c")
    assert turns(upstream) == [
        ("user", "question 0"),
        ("assistant", "answer 0"),
        ("user", "question 1"),
        ("assistant", "answer 1"),
        ("user", "question 2"),
    ]
    assert asker.snapshot("s2", user_id=user).json["parent_id"] == "s1"


def test_regenerate_and_edit_have_the_same_parent_and_do_not_see_one_another(
    asker: Client, upstream: Upstream, user: str
) -> None:
    say(asker, user, "root", stream_id="s0", conversation_id="c")
    for name, message in (("s1", "question"), ("s2", "question"), ("s3", "another question")):
        say(asker, user, message, stream_id=name, parent_id="s0", conversation_id="c")
        assert [content for role, content in turns(upstream) if role == "user"] == ["root", message]


def test_without_a_parent_the_newest_of_the_conversation_is_meant(asker: Client, upstream: Upstream, user: str) -> None:
    say(asker, user, "one", stream_id="s1", conversation_id="c")
    say(asker, user, "elsewhere", stream_id="s2", conversation_id="d")
    say(asker, user, "two", stream_id="s3", conversation_id="c")
    assert [content for role, content in turns(upstream) if role == "user"] == ["one", "two"]


def test_without_a_conversation_nothing_is_sent_along(asker: Client, upstream: Upstream, user: str) -> None:
    say(asker, user, "one", stream_id="s1")
    say(asker, user, "two", stream_id="s2")
    assert turns(upstream) == [("user", "two")]


def test_a_conversation_of_the_same_name_of_someone_else_is_another(
    asker: Client, upstream: Upstream, user: str
) -> None:
    say(asker, user, "mine", conversation_id="c")
    say(asker, fresh("u"), "yours", conversation_id="c")
    assert turns(upstream) == [("user", "yours")]


def test_what_an_interrupted_turn_got_to_say_counts_as_its_answer(asker: Client, upstream: Upstream, user: str) -> None:
    upstream.queue(Script(text="half an answer that breaks", cut_after=3))
    assert say(asker, user, "one", stream_id="s1", conversation_id="c") == ["error"]
    kept = asker.snapshot("s1", user_id=user).json["text"]
    assert kept == "half an answer "
    say(asker, user, "two", stream_id="s2", parent_id="s1", conversation_id="c")
    assert turns(upstream) == [("user", "one"), ("assistant", kept), ("user", "two")]


def test_system_temperature_and_max_tokens_reach_the_provider(asker: Client, upstream: Upstream, user: str) -> None:
    say(asker, user, "one", system="Be brief.", temperature="0.5", max_tokens="9")
    body = upstream.calls[-1].body
    assert turns(upstream) == [("system", "Be brief."), ("user", "one")]
    assert body["temperature"] == 0.5
    assert 9 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert body["stream"] is True


def test_a_stream_is_asked_for_once_however_often_it_is_requested(asker: Client, upstream: Upstream, user: str) -> None:
    calls = len(upstream.calls)
    asked: dict[str, Any] = {"user_id": user, "stream_id": "s1", "message": "once"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: asker.post(asked), range(8)))
    assert {answer.body for answer in answers} == {answers[0].body}
    asker.get(**asked)
    asker.form(asked)
    assert len(upstream.calls) == calls + 1


def test_no_resume_ever_asks(asker: Client, upstream: Upstream, user: str) -> None:
    say(asker, user, "once", stream_id="s1")
    calls = len(upstream.calls)
    for name in ("s1", "s2"):
        for cursor in ("-1", "0", "1", "999"):
            asker.get(headers={"Last-Event-ID": cursor}, user_id=user, stream_id=name, message="once")
            asker.get(headers={"Last-Event-ID": cursor}, user_id=user, message="once")
        for last in (0, 1, 999):
            asker.post({"user_id": user, "stream_id": name, "message": "once", "last_event_id": last})
    assert asker.snapshot("s2", user_id=user).status == 404
    assert len(upstream.calls) == calls


def test_no_refusal_asks(asker: Client, upstream: Upstream, user: str) -> None:
    say(asker, user, "once", stream_id="s1")
    calls = len(upstream.calls)
    for answer in (
        asker.post({"user_id": user, "stream_id": "s1", "message": "different"}),
        asker.post({"user_id": user, "message": "x", "temperature": 9}),
        asker.post({"user_id": user, "message": "x"}, headers={"Origin": "https://elsewhere.example"}),
        asker.post({"user_id": user, "message": "x"}, headers={"Authorization": "Bearer x"}),
        asker.send("HEAD", f"/api/v1/stream?user_id={user}&message=x"),
    ):
        assert answer.status in {400, 401, 403, 405, 409}
    assert len(upstream.calls) == calls


def test_a_failure_of_the_provider_tells_neither_its_words_nor_the_key(
    asker: Client, upstream: Upstream, user: str
) -> None:
    """Its body quotes the key and the prompt."""
    for status in (400, 401, 404, 500):
        upstream.queue(Script(status=status))
        answer = asker.post({"user_id": user, "stream_id": f"s{status}", "message": CANARY})
        assert [frame.type for frame in answer.frames] == ["error"]
        shown = asker.snapshot(f"s{status}", user_id=user).json
        assert CANARY_KEY.encode() not in answer.body
        assert CANARY.encode() not in answer.body
        assert CANARY not in shown["error"]


def test_another_beginning_of_a_conversation_follows_nothing(asker: Client, upstream: Upstream, user: str) -> None:
    upstream.queue(Script(text="answer 0"))
    say(asker, user, "question 0", stream_id="s0", conversation_id="c")
    say(asker, user, "question 0, better", stream_id="s1", conversation_id="c", from_start=True)
    assert turns(upstream) == [("user", "question 0, better")]
    shown = asker.snapshot("s1", user_id=user).json
    assert (shown["parent_id"], shown["conversation_id"]) == (None, "c")
    plain = asker.begin(user_id=user, stream_id="s1", message="question 0, better", conversation_id="c")
    assert plain.status == 409


def test_a_beginning_has_no_parent(asker: Client, user: str) -> None:
    refused = asker.post({"user_id": user, "message": CANARY, "parent_id": fresh(), "from_start": True})
    assert refused.status == 400
    assert [error["name"] for error in refused.json["errors"]] == ["from_start"]
    assert asker.post({"user_id": user, "message": CANARY, "from_start": "perhaps"}).status == 400
