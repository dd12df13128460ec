"""``continues``: an answer that ended before its end goes on in a stream of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from streaming.providers.base import INSTRUCTION
from tests import databases
from tests.contract.conftest import running
from tests.contract.place import Place
from tests.contract.wire import CANARY, CANARY_KEY, Client, client, fresh, session
from tests.frames import text_of
from tests.servers import Server
from tests.upstream import Script, Upstream

MODEL = "openai/test"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A provider whose calls can be counted and read."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite, upstream: Upstream) -> Iterator[Place]:
    """A server that asks it, and its database."""
    settings = {
        "OPENAI_API_KEY": CANARY_KEY,
        "OPENAI_BASE_URL": upstream.url,
        "ANTHROPIC_API_KEY": CANARY_KEY,
        "ANTHROPIC_BASE_URL": upstream.url,
        "STREAM_DEFAULT_MODEL": "demo",
    }
    with running(tmp_path_factory, url := sqlite.new(), **settings) as server:
        yield Place(server, url)


@pytest.fixture
def asker(place: Place) -> Client:
    """Somebody who asks that server."""
    return client(place.server)


def cut_off(asker: Client, user: str, **asked: Any) -> dict[str, Any]:
    """The snapshot of a new stream ``s1`` that said ``1 2 3 `` and met its limit."""
    first = {"stream_id": "s1", "message": "/count 9 0", "max_tokens": 3, **asked}
    assert asker.post({"user_id": user, **first}).frames[-1].data["finish_reason"] == "length"
    shown: dict[str, Any] = asker.snapshot("s1", user_id=user).json
    return shown


def messages(upstream: Upstream) -> list[tuple[str, str]]:
    """What the last call sent."""
    return [(turn["role"], turn["content"]) for turn in upstream.calls[-1].body["messages"]]


def test_an_answer_that_met_its_limit_goes_on(asker: Client, place: Place, user: str) -> None:
    asked = {"conversation_id": "c", "system": "Be brief.", "temperature": 0.5, "template": "summary@1"}
    first = cut_off(asker, user, **asked)
    frames = asker.post({"user_id": user, "stream_id": "s2", "continues": "s1", "max_tokens": 99}).frames
    assert [frame.event_id for frame in frames] == list(range(7))
    assert text_of(frames) == "4 5 6 7 8 9 "
    second = asker.snapshot("s2", user_id=user).json
    assert (first["continues"], second["continues"]) == (None, "s1")
    assert (first["text"], second["text"]) == ("1 2 3 ", "4 5 6 7 8 9 ")
    for name in ("message", "conversation_id", "parent_id", "model", "provider"):
        assert second[name] == first[name], name
    columns = "system, temperature, template, message, conversation_id"
    rows = place.sql(f"SELECT {columns} FROM streaming_stream WHERE user_id = ?", user)
    assert rows[0] == rows[1] == ("Be brief.", 0.5, "summary@1", "/count 9 0", "c")
    listed = asker.get("/api/v1/streams", user_id=user, conversation_id="c").json["streams"]
    assert [(stream["stream_id"], stream["continues"]) for stream in listed] == [("s2", "s1"), ("s1", None)]


def test_each_part_has_a_cost_of_its_own(asker: Client, place: Place, user: str) -> None:
    first = cut_off(asker, user)
    asker.post({"user_id": user, "stream_id": "s2", "continues": "s1", "max_tokens": 99})
    second = asker.snapshot("s2", user_id=user).json
    assert second["prompt_tokens"] == first["prompt_tokens"] + 2, "with the text so far"
    assert second["completion_tokens"] == 6
    assert asker.snapshot("s1", user_id=user).json == first
    ledger = "SELECT total_pico_usd FROM streaming_costrecord c JOIN streaming_stream s ON s.id = c.stream_id"
    costs = [cost for (cost,) in place.sql(f"{ledger} WHERE s.user_id = ? ORDER BY s.id", user)]
    assert costs == [round(part["total_cost"] * 10**12) for part in (first, second)]
    usage = asker.get("/api/v1/usage", user_id=user, since="2020-01-01T00:00:00Z").json
    assert (usage["streams"], usage["total_cost"]) == (2, pytest.approx(sum(costs) / 10**12))


def test_what_is_left_open_is_inherited_also_the_limit(asker: Client, user: str) -> None:
    cut_off(asker, user)
    frames = asker.post({"user_id": user, "stream_id": "s2", "continues": "s1"}).frames
    assert (text_of(frames), frames[-1].data["finish_reason"]) == ("4 5 6 ", "length")


def test_a_continuation_is_continued(asker: Client, user: str) -> None:
    cut_off(asker, user)
    for number, last in ((2, "4 5 6 "), (3, "7 8 9 ")):
        asked = {"user_id": user, "stream_id": f"s{number}", "continues": f"s{number - 1}"}
        assert text_of(asker.post(asked).frames) == last
    assert asker.begin(user_id=user, continues="s3").status == 409


def test_a_cancelled_answer_goes_on(asker: Client, user: str) -> None:
    asker.begin(user_id=user, stream_id="s1", message="/count 30000 40")
    with asker.open("GET", f"/api/v1/stream?user_id={user}&stream_id=s1") as response:
        while b"id: 2" not in response.readline():
            pass
    said = asker.send("DELETE", f"/api/v1/stream/s1?user_id={user}").json["text"]
    asked = {"user_id": user, "stream_id": "s2", "continues": "s1", "max_tokens": 2}
    last = int(said.split()[-1])
    assert text_of(asker.post(asked).frames) == f"{last + 1} {last + 2} "


def test_an_answer_that_failed_goes_on_by_an_instruction(asker: Client, upstream: Upstream, user: str) -> None:
    upstream.queue(Script(text="half an answer that breaks", cut_after=3), Script(pieces=(" that", " holds")))
    asker.post({"user_id": user, "stream_id": "s1", "message": "one", "model": MODEL, "system": "Be brief."})
    frames = asker.post({"user_id": user, "stream_id": "s2", "continues": "s1", "temperature": 0.5}).frames
    assert text_of(frames) == "that holds"
    assert messages(upstream) == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "half an answer"),
        ("user", INSTRUCTION),
    ]
    assert upstream.calls[-1].body["temperature"] == 0.5


def test_an_answer_goes_on_by_its_beginning_with_another_model(asker: Client, upstream: Upstream, user: str) -> None:
    upstream.queue(Script(text="half an answer that breaks", cut_after=3), Script(pieces=(" that", " holds")))
    asker.post({"user_id": user, "stream_id": "s1", "message": "one", "model": MODEL})
    asked = {"user_id": user, "stream_id": "s2", "continues": "s1", "model": "anthropic/claude-haiku-4-5"}
    assert text_of(asker.post(asked).frames) == "that holds"
    assert messages(upstream) == [("user", "one"), ("assistant", "half an answer")]
    assert asker.snapshot("s2", user_id=user).json["model"] == "anthropic/claude-haiku-4-5"


def test_an_answer_without_a_word_is_asked_for_again(asker: Client, upstream: Upstream, user: str) -> None:
    upstream.queue(Script(status=500), Script(status=500), Script(text="at last"))
    asker.post({"user_id": user, "stream_id": "s0", "message": "/echo zero", "conversation_id": "c"})
    asker.post({"user_id": user, "stream_id": "s1", "message": "one", "model": MODEL, "parent_id": "s0"})
    asker.post({"user_id": user, "stream_id": "s2", "continues": "s1"})
    frames = asker.post({"user_id": user, "stream_id": "s3", "continues": "s2"}).frames
    assert text_of(frames) == "at last"
    assert messages(upstream) == [("user", "/echo zero"), ("assistant", "zero"), ("user", "one")]


def test_what_follows_gets_the_joined_answer(asker: Client, upstream: Upstream, user: str) -> None:
    cut_off(asker, user, conversation_id="c")
    asker.post({"user_id": user, "stream_id": "s2", "continues": "s1"})
    for parent, answer in (({"parent_id": "s2"}, "1 2 3 4 5 6 "), ({"parent_id": "s1"}, "1 2 3 "), ({}, None)):
        asker.post({"user_id": user, "message": "two", "model": MODEL, "conversation_id": "c", **parent})
        if answer is not None:
            assert messages(upstream) == [("user", "/count 9 0"), ("assistant", answer), ("user", "two")]
    asker.post({"user_id": user, "stream_id": "s9", "message": "/count 9 0", "conversation_id": "d", "max_tokens": 3})
    asker.post({"user_id": user, "stream_id": "s10", "continues": "s9"})
    asker.post({"user_id": user, "message": "two", "model": MODEL, "conversation_id": "d"})
    assert messages(upstream)[1] == ("assistant", "1 2 3 4 5 6 "), "the newest of the conversation is its end"


def test_a_repeated_continuation_is_the_same_stream(asker: Client, upstream: Upstream, user: str) -> None:
    upstream.queue(Script(text="half an answer", cut_after=1))
    asker.post({"user_id": user, "stream_id": "s1", "message": "one", "model": MODEL})
    calls = len(upstream.calls)
    asked: dict[str, Any] = {"user_id": user, "stream_id": "s2", "continues": "s1"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: asker.post(asked), range(8)))
    assert {answer.body for answer in answers} == {answers[0].body}
    assert asker.get(user_id=user, stream_id="s2").body == asker.get(**asked).body == answers[0].body
    assert len(upstream.calls) == calls + 1


def test_another_continuation_under_the_same_id_is_a_conflict(asker: Client, user: str) -> None:
    cut_off(asker, user)
    assert asker.begin(user_id=user, stream_id="s2", continues="s1").status == 201
    for other in ({"continues": "s2"}, {"continues": "s1", "max_tokens": 3}, {"message": "/count 9 0"}):
        answer = asker.begin(user_id=user, stream_id="s2", **other)
        assert (answer.status, answer.json["error_type"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("message", "told"),
    [("/count 2 0", "its answer is complete"), ("/sleep 30", "its answer is still being written")],
)
def test_what_is_complete_or_still_open_is_not_continued(asker: Client, user: str, message: str, told: str) -> None:
    asker.begin(user_id=user, stream_id="s1", message=message)
    if "count" in message:
        asker.closed("s1", user_id=user)
    answer = asker.begin(user_id=user, stream_id="s2", continues="s1")
    assert (answer.status, answer.json["error_type"]) == (409, "not_continuable")
    assert answer.json["errors"] == [{"name": "continues", "reason": told}]
    assert asker.snapshot("s2", user_id=user).status == 404
    asker.send("DELETE", f"/api/v1/stream/s1?user_id={user}")


@pytest.mark.parametrize(
    "other",
    [{"message": CANARY}, {"conversation_id": "c"}, {"parent_id": "s0"}, {"from_start": False}, {"system": CANARY}],
)
def test_a_continuation_names_nothing_that_it_inherits(asker: Client, user: str, other: dict[str, Any]) -> None:
    refused = asker.post({"user_id": user, "continues": "s1", **other})
    assert refused.errors == {"continues": f"must not be given with {', '.join(other)}"}


def test_an_unknown_stream_is_404_before_the_model_is_looked_at(asker: Client, user: str) -> None:
    unknown = asker.post({"user_id": user, "continues": fresh(), "model": "no-such/model"})
    assert list(unknown.errors) == ["model"]
    assert asker.post({"user_id": user, "stream_id": "s2", "continues": fresh()}).status == 404
    assert asker.post({"user_id": user, "stream_id": "s2", "continues": "s2"}).status == 404
    assert asker.snapshot("s2", user_id=user).status == 404


def test_no_resume_ever_continues(asker: Client, user: str) -> None:
    cut_off(asker, user)
    assert asker.get(user_id=user, stream_id="s2", continues="s1", last_event_id=0).status == 404
    assert asker.get(headers={"Last-Event-ID": "-1"}, user_id=user, stream_id="s2", continues="s1").status == 404
    assert asker.get(headers={"Last-Event-ID": "-1"}, user_id=user, continues="s1").status == 400
    assert asker.snapshot("s2", user_id=user).status == 404


def test_a_page_of_another_site_continues_nothing(guarded: Server) -> None:
    someone, _ = session(guarded)
    someone.post({"stream_id": "s1", "message": "/count 9 0", "max_tokens": 3})
    answer = someone.post({"stream_id": "s2", "continues": "s1"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403
    assert someone.snapshot("s2").status == 404


def test_what_was_pruned_is_not_continued(asker: Client, place: Place, user: str) -> None:
    cut_off(asker, user)
    assert place.manage("prune_streams", "--older-than", "0", "--owner", f"open:{user}").returncode == 0
    answer = asker.begin(user_id=user, stream_id="s2", continues="s1")
    assert (answer.status, answer.json["error_type"]) == (410, "pruned")


@pytest.mark.parametrize("newest", ["open", "complete"])
def test_that_an_older_part_was_pruned_is_told_before_that_the_newest_cannot_be_continued(
    asker: Client, place: Place, user: str, newest: str
) -> None:
    cut_off(asker, user, message="/count 300 20" if newest == "open" else "/count 9 0")
    asker.begin(user_id=user, stream_id="s2", continues="s1", max_tokens=1000)
    if newest == "complete":
        asker.closed("s2", user_id=user)
        place.sql("UPDATE streaming_stream SET finished_at = '2100-01-01' WHERE user_id = ? AND stream_id = 's2'", user)
    assert place.manage("prune_streams", "--older-than", "0", "--owner", f"open:{user}").returncode == 0
    assert asker.snapshot("s2", user_id=user).json["pruned_at"] is None
    answer = asker.begin(user_id=user, stream_id="s3", continues="s2")
    assert (answer.status, answer.json["error_type"]) == (410, "pruned")
    asker.send("DELETE", f"/api/v1/stream/s2?user_id={user}")


def test_in_a_deleted_conversation_nothing_is_continued(asker: Client, user: str) -> None:
    cut_off(asker, user, conversation_id="c")
    assert asker.send("DELETE", f"/api/v1/conversations/c?user_id={user}").status == 204
    answer = asker.begin(user_id=user, stream_id="s2", continues="s1")
    assert (answer.status, answer.json["error_type"]) == (410, "conversation_deleted")
