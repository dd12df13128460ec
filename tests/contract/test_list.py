"""§6: ``GET /api/v1/streams``: one's own, newest first, in pages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.wire import Client, client, fresh
from tests.servers import Server

PATH = "/api/v1/streams"


@pytest.fixture(scope="module")
def owner(daphne: Server) -> str:
    """Somebody who has seven streams, s0 to s6, and a neighbour who has others between them."""
    anyone, name = client(daphne), fresh("u")
    for number in range(7):
        conversation = {"conversation_id": "odd"} if number % 2 else {}
        anyone.post({"user_id": name, "stream_id": f"s{number}", "message": f"/count {number} 0", **conversation})
        anyone.post({"user_id": "neighbour", "stream_id": fresh(), "message": f"/count {number} 0"})
    return name


def listed(anyone: Client, owner: str, **parameters: Any) -> list[str]:
    """The ids of a page."""
    return [shown["stream_id"] for shown in anyone.get(PATH, user_id=owner, **parameters).json["streams"]]


def test_ones_own_streams_newest_first_and_nobody_elses(anyone: Client, owner: str) -> None:
    assert listed(anyone, owner) == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]


def test_a_list_has_snapshots_without_text(anyone: Client, owner: str) -> None:
    answer = anyone.get(PATH, user_id=owner)
    assert set(answer.json) == {"streams", "next"}
    assert answer.json["next"] is None
    for listed in answer.json["streams"]:
        whole = anyone.snapshot(listed["stream_id"], user_id=owner).json
        from_the_log = {"text", "last_event_id", "cost_so_far"}
        assert listed == {name: value for name, value in whole.items() if name not in from_the_log}


def test_pages_follow_one_another_without_gap_or_repeat(anyone: Client, owner: str) -> None:
    seen: list[str] = []
    parameters: dict[str, Any] = {"user_id": owner, "limit": 3}
    sizes = []
    while True:
        page = anyone.get(PATH, **parameters).json
        seen += [shown["stream_id"] for shown in page["streams"]]
        sizes.append(len(page["streams"]))
        if page["next"] is None:
            break
        parameters["before"] = page["next"]
    assert seen == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]
    assert sizes == [3, 3, 1]


def test_a_page_that_ends_exactly_has_no_next(anyone: Client, owner: str) -> None:
    assert anyone.get(PATH, user_id=owner, limit=7).json["next"] is None
    assert anyone.get(PATH, user_id=owner, limit=6).json["next"] is not None


def test_a_page_stays_what_it_was_when_new_streams_come(anyone: Client) -> None:
    owner = fresh("u")
    for number in range(3):
        anyone.post({"user_id": owner, "stream_id": f"s{number}", "message": "/count 1 0"})
    page = anyone.get(PATH, user_id=owner, limit=2).json
    anyone.post({"user_id": owner, "stream_id": "s3", "message": "/count 1 0"})
    assert listed(anyone, owner, limit=2, before=page["next"]) == ["s0"]


def test_a_cursor_tells_nothing_of_how_much_others_stream(anyone: Client) -> None:
    def cursor() -> str:
        owner = fresh("u")
        for number in range(2):
            anyone.post({"user_id": owner, "stream_id": f"s{number}", "message": "/count 1 0"})
        return str(anyone.get(PATH, user_id=owner, limit=1).json["next"])

    first = cursor()
    anyone.post({"user_id": "neighbour", "stream_id": fresh(), "message": "/count 1 0"})
    assert cursor() == first


def test_q_searches_the_messages(anyone: Client, owner: str) -> None:
    assert listed(anyone, owner, q="count 3") == ["s3"]
    assert listed(anyone, owner, q="COUNT 3") == ["s3"]
    assert listed(anyone, owner, q="") == listed(anyone, owner)
    for nothing in ("nowhere", "%", "_", "\\", "'", '"', "\0count", "*"):
        assert listed(anyone, owner, q=nothing) in ([], listed(anyone, owner, q=nothing.replace("\0", "")))
    assert listed(anyone, owner, q="%") == []
    assert listed(anyone, owner, q="_") == []


def test_a_conversation_is_listed_alone(anyone: Client, owner: str) -> None:
    assert listed(anyone, owner, conversation_id="odd") == ["s5", "s3", "s1"]
    assert listed(anyone, owner, conversation_id="odd", q="5") == ["s5"]
    assert listed(anyone, owner, conversation_id="odd", limit=1, before="s5") == ["s3"]
    assert listed(anyone, owner, conversation_id="even") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "x"},
        {"limit": ""},
        {"limit": "1.5"},
        {"limit": "9" * 30},
        {"limit": "1001"},
        {"before": "a b"},
        {"before": ""},
        {"before": "no-such-cursor"},
        {"before": "9" * 30},
        {"conversation_id": "a b"},
        {"conversation_id": "\0"},
        {"user_id": "a b"},
        {"q": "a" * 5000},
    ],
)
def test_a_bad_parameter_of_a_list_is_400(anyone: Client, owner: str, wrong: dict[str, Any]) -> None:
    assert list(anyone.get(PATH, **{"user_id": owner, **wrong}).errors) == list(wrong)


def test_all_that_is_wrong_with_a_list_is_told_at_once(anyone: Client) -> None:
    wrong: dict[str, Any] = {"user_id": "a b", "limit": "x", "before": "a b", "conversation_id": "a b"}
    assert set(anyone.get(PATH, **wrong).errors) == set(wrong)


def test_somebody_without_streams_has_an_empty_list(either: Client, user: str) -> None:
    assert either.get(PATH, user_id=user).json == {"streams": [], "next": None}
