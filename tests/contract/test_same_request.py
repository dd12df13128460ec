"""§3: known and unknown ``stream_id``, same and different request; §12.8: what the fingerprint compares."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.wire import JSON, STREAM, Client, fresh

ASKED: dict[str, Any] = {"message": "/count 3 0", "system": "Be brief.", "temperature": 0.7, "max_tokens": 9}


def start(client: Client, user: str, **asked: Any) -> None:
    """Start stream ``s1``."""
    assert client.begin(user_id=user, stream_id="s1", **asked).status == 201


def status(client: Client, user: str, **asked: Any) -> int:
    """What a repeated start of ``s1`` answers; of a conflict, that it is told as such."""
    answer = client.begin(user_id=user, stream_id="s1", **asked)
    if answer.status == 409:
        assert answer.json["error_type"] == "conflict"
        assert "latest_event_id" not in answer.json
    return answer.status


def test_the_same_request_attaches_and_gets_the_same_bytes(either: Client, user: str) -> None:
    first = either.get(user_id=user, stream_id="s1", **ASKED)
    again = either.get(user_id=user, stream_id="s1", **ASKED)
    assert again.status == 200
    assert again.body == first.body
    assert again.header("X-Stream-Id") == "s1"


def test_an_attach_needs_no_message(anyone: Client, user: str) -> None:
    start(anyone, user, **ASKED)
    assert anyone.get(user_id=user, stream_id="s1").frames[-1].type == "done"
    assert anyone.post({"user_id": user, "stream_id": "s1"}).frames[-1].type == "done"
    assert anyone.form({"user_id": user, "stream_id": "s1"}).frames[-1].type == "done"


def test_the_same_request_may_come_by_another_way(anyone: Client, user: str) -> None:
    start(anyone, user, **ASKED)
    asked = {"user_id": user, "stream_id": "s1", **ASKED}
    by_get, by_form, by_json = anyone.get(**asked), anyone.form(asked), anyone.post(asked)
    assert (by_get.status, by_form.status, by_json.status) == (200, 200, 200)
    assert by_get.body == by_form.body == by_json.body


def test_another_template_is_the_same_request(anyone: Client, user: str) -> None:
    start(anyone, user, **ASKED, template="summary@1")
    assert [status(anyone, user, **ASKED, **more) for more in ({}, {"template": "summary@2"})] == [200, 200]


@pytest.mark.parametrize(
    "changed",
    [
        {"message": "/count 4 0"},
        {"message": "/count 3 0 "},
        {"model": "demo"},
        {"conversation_id": "c1"},
        {"system": "Be long."},
        {"system": None},
        {"temperature": 0.70001},
        {"temperature": None},
        {"max_tokens": 10},
        {"max_tokens": None},
    ],
)
def test_a_different_request_is_a_conflict(anyone: Client, user: str, changed: dict[str, Any]) -> None:
    start(anyone, user, **ASKED)
    assert status(anyone, user, **{**ASKED, **changed}) == 409
    assert anyone.get(**{"user_id": user, "stream_id": "s1", **{k: v for k, v in {**ASKED, **changed}.items() if v}})
    assert status(anyone, user, **ASKED) == 200


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"temperature": 0.7}, {"temperature": "0.7"}),
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"temperature": "1"}, {"temperature": "1.00"}),
        ({"temperature": 0}, {"temperature": -0.0}),
        ({"temperature": 0.5}, {"temperature": "5e-1"}),
        ({"max_tokens": 5}, {"max_tokens": "5"}),
        ({"system": None}, {}),
        ({"message": "/echo \u00e9"}, {"message": "/echo é"}),
    ],
)
def test_parsed_values_are_compared(anyone: Client, user: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    start(anyone, user, **{"message": "/count 1 0", **one})
    assert status(anyone, user, **{"message": "/count 1 0", **other}) == 200


def test_texts_are_compared_as_supplied(anyone: Client, user: str) -> None:
    start(anyone, user, message="/echo é")
    assert status(anyone, user, message="/echo e\u0301") == 409
    assert status(anyone, user, message=" /echo é") == 409


def test_a_default_named_explicitly_is_a_different_request(anyone: Client, user: str) -> None:
    start(anyone, user, message="/count 1 0")
    assert status(anyone, user, message="/count 1 0", model="demo") == 409


def test_a_cursor_and_the_name_of_the_user_are_no_part_of_what_is_asked(anyone: Client, user: str) -> None:
    start(anyone, user, message="/count 1 0")
    assert status(anyone, user, message="/count 1 0", last_event_id=-1, unknown="parameter") == 200


def test_without_a_message_nothing_is_compared(anyone: Client, user: str) -> None:
    start(anyone, user, **ASKED)
    assert status(anyone, user, temperature=1.5) == 200


def test_a_conflict_changes_nothing(anyone: Client, user: str) -> None:
    start(anyone, user, message="/count 3 0")
    before = anyone.closed("s1", user_id=user)
    assert status(anyone, user, message="/count 4 0") == 409
    assert anyone.snapshot("s1", user_id=user).json == before


def test_of_simultaneous_starts_one_starts_and_the_others_attach(either: Client, user: str) -> None:
    for number in range(5):
        asked = {"user_id": user, "stream_id": f"s{number}", "message": "/count 3 0"}
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _, asked=asked: either.begin(**asked), range(8)))
        assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len(either.get("/api/v1/streams", user_id=user).json["streams"]) == 5


def test_of_simultaneous_different_starts_one_starts_and_the_others_are_told(anyone: Client, user: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: anyone.begin(user_id=user, stream_id="s1", message=f"/count {n} 0"), range(1, 9))
        )
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    assert {answer.json["error_type"] for answer in answers if answer.status == 409} == {"conflict"}


def test_a_post_that_asks_for_json_is_answered_with_the_snapshot(either: Client, user: str) -> None:
    started = either.begin(user_id=user, message="/sleep 60")
    name = started.json["stream_id"]
    assert started.status == 201
    assert started.header("Content-Type") == JSON
    assert started.header("X-Stream-Id") == name
    assert set(started.json) == set(either.snapshot(name, user_id=user).json)
    assert started.json["status"] in {"queued", "streaming"}
    assert either.send("DELETE", f"{STREAM}/{name}?user_id={user}").status == 200
    attached = either.begin(user_id=user, stream_id=name, message="/sleep 60")
    assert attached.status == 200
    assert attached.json == either.snapshot(name, user_id=user).json
    assert attached.json["last_event_id"] == either.get(user_id=user, stream_id=name).frames[-1].event_id


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream", "text/html", "application/json, text/event-stream"])
def test_anything_but_json_alone_is_answered_with_events(anyone: Client, user: str, accept: str) -> None:
    answer = anyone.post({"user_id": user, "message": "/count 1 0"}, headers={"Accept": accept})
    assert answer.header("Content-Type") == "text/event-stream"


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json; q=0.9", "Application/JSON", "application/json, */*;q=0.1"]
)
def test_json_may_be_asked_for_in_any_way(anyone: Client, user: str, accept: str) -> None:
    answer = anyone.post({"user_id": user, "message": "/count 1 0"}, headers={"Accept": accept})
    assert answer.status == 201


def test_a_get_answers_events_whatever_it_accepts(anyone: Client, user: str) -> None:
    answer = anyone.get(headers={"Accept": JSON}, user_id=user, message="/count 1 0", stream_id=fresh())
    assert answer.header("Content-Type") == "text/event-stream"
