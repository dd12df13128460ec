"""A Django login: it takes the visitor's anonymous history along, and its readers end with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests import databases
from tests.contract.conftest import running
from tests.contract.place import Place
from tests.contract.wire import STREAM, Client, fresh, session
from tests.frames import text_of


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite
) -> Iterator[Place]:
    """A server as it is shipped, with a user ``m`` and a user ``n``."""
    url = sqlite.new()
    with running(tmp_path_factory, url, request.param, STREAM_OPEN_ACCESS="0") as server:
        place = Place(server, url)
        place.new_user("m")
        place.new_user("n")
        yield place


def listed(who: Client) -> set[str]:
    """The ids of one's own streams."""
    return {shown["stream_id"] for shown in who.get("/api/v1/streams", limit=100).json["streams"]}


def test_a_login_takes_the_anonymous_history_along(place: Place) -> None:
    visitor, anonymous_id = session(place.server)
    first, second = fresh(), fresh()
    visitor.post({"stream_id": first, "message": "/count 2 0", "conversation_id": "c1"})
    visitor.post({"stream_id": second, "message": "/count 3 0", "conversation_id": "c1"})
    before = visitor.get(stream_id=second).body
    member = place.log_in("m", visitor.headers["Cookie"])
    shown = member.snapshot(second).json
    assert (shown["parent_id"], shown["conversation_id"]) == (first, "c1")
    assert shown["user_id"].startswith("user_") and shown["user_id"] != anonymous_id
    assert member.get(stream_id=second).body == before, "the same log"
    assert member.post({"stream_id": second, "message": "/count 3 0", "conversation_id": "c1"}).body == before
    assert {first, second} <= listed(member)
    assert listed(visitor) == set(), "the anonymous identity has nothing left"
    assert visitor.snapshot(second).body == visitor.snapshot(fresh()).body


@pytest.mark.parametrize("way", ["resume", "snapshot", "list", "start", "cancel"])
def test_whichever_request_comes_first_after_the_login_finds_it(place: Place, way: str) -> None:
    visitor, _ = session(place.server)
    name = fresh()
    visitor.post({"stream_id": name, "message": "/count 2 0"})
    member = place.log_in("m", visitor.headers["Cookie"])
    if way == "resume":
        assert member.get(stream_id=name, last_event_id=0).status == 200
    elif way == "snapshot":
        assert member.snapshot(name).status == 200
    elif way == "list":
        assert name in listed(member)
    elif way == "start":
        assert member.begin(stream_id=name, message="/count 2 0").status == 200, "attached, not started"
    else:
        assert member.send("DELETE", f"/api/v1/stream/{name}").status == 200


def test_a_live_stream_comes_along_and_its_readers_stay(place: Place) -> None:
    visitor, _ = session(place.server)
    name = fresh()
    with visitor.open("GET", f"{STREAM}?{urlencode({'stream_id': name, 'message': '/count 150000 50'})}") as reader:
        reader.readline()
        member = place.log_in("n", visitor.headers["Cookie"])
        assert member.snapshot(name).json["status"] == "streaming"
        assert member.send("DELETE", f"/api/v1/stream/{name}").json["status"] == "cancelled"
        assert b'"finish_reason":"cancelled"' in reader.read()
    cost = place.sql(
        "SELECT c.state FROM streaming_costrecord c JOIN streaming_stream s ON s.id = c.stream_id"
        " WHERE s.stream_id = ? AND s.user_id LIKE 'user_%'",
        name,
    )
    assert len(cost) == 1 and cost[0][0] != "pending"


def test_an_id_that_the_user_has_already_stays_with_both(place: Place) -> None:
    member, (visitor, _) = place.log_in("m"), session(place.server)
    name, other = fresh(), fresh()
    member.post({"stream_id": name, "message": "/count 2 0"})
    visitor.post({"stream_id": name, "message": "/count 3 0"})
    visitor.post({"stream_id": other, "message": "/count 4 0"})
    both = place.log_in("m", visitor.headers["Cookie"])
    for _ in range(2):
        assert both.snapshot(name).json["message"] == "/count 2 0"
        assert both.snapshot(other).json["message"] == "/count 4 0"
    assert visitor.snapshot(name).json["message"] == "/count 3 0"
    assert listed(visitor) == {name}


def test_what_comes_along_names_no_stream_that_stayed(place: Place) -> None:
    member, (visitor, _) = place.log_in("m"), session(place.server)
    name, following, going_on, next_part = fresh(), fresh(), fresh(), fresh()
    cut = {"message": "/count 9 0", "max_tokens": 3}
    member.post({"stream_id": name, "message": "/count 2 0"})
    visitor.post({"stream_id": name, **cut})
    visitor.post({"stream_id": following, "message": "/count 2 0", "parent_id": name})
    visitor.post({"stream_id": going_on, "continues": name})
    assert visitor.snapshot(going_on).json["continues"] == visitor.snapshot(following).json["parent_id"] == name
    both = place.log_in("m", visitor.headers["Cookie"])
    shown = {each["stream_id"]: each for each in both.get("/api/v1/streams", limit=100).json["streams"]}
    for each in (shown[going_on], both.snapshot(going_on).json):
        assert each["continues"] is None, "that id is another stream of the member's"
    for each in (shown[following], both.snapshot(following).json):
        assert each["parent_id"] is None
    frames = both.post({"stream_id": next_part, "continues": going_on, "max_tokens": 100}).frames
    assert text_of(frames) == "7 8 9 ", "the text so far is that of the whole chain"
    assert both.snapshot(next_part).json["continues"] == going_on


def test_only_the_visitors_own_history_comes_along(place: Place) -> None:
    visitor, stranger = session(place.server)[0], session(place.server)[0]
    name = fresh()
    stranger.post({"stream_id": name, "message": "/count 2 0"})
    member = place.log_in("n", visitor.headers["Cookie"])
    assert member.snapshot(name).status == 404
    assert stranger.snapshot(name).status == 200
    forged = place.log_in(
        "n", stranger.headers["Cookie"][:-1] + ("a" if stranger.headers["Cookie"][-1] != "a" else "b")
    )
    assert forged.snapshot(name).status == 404
    assert stranger.snapshot(name).status == 200


def test_what_a_user_has_is_not_taken_by_the_next_who_logs_in(place: Place) -> None:
    visitor, _ = session(place.server)
    name = fresh()
    visitor.post({"stream_id": name, "message": "/count 2 0"})
    first = place.log_in("m", visitor.headers["Cookie"])
    assert name in listed(first)
    second = place.log_in("n", visitor.headers["Cookie"])
    assert name not in listed(second)
    assert name in listed(first)


def test_a_reader_ends_within_two_seconds_of_its_logout(place: Place) -> None:
    here, elsewhere = place.log_in("m"), place.log_in("m")
    name = fresh()
    here.begin(stream_id=name, message="/count 600000 100")
    target = f"{STREAM}?{urlencode({'stream_id': name})}"
    with here.open("GET", target) as reader, elsewhere.open("GET", target) as unharmed:
        reader.readline()
        place.log_out(here)
        ended = time.monotonic()
        assert b"event: done" not in reader.read()
        assert time.monotonic() - ended < 2.5, "two seconds, and what a busy machine takes"
        assert elsewhere.send("DELETE", f"{STREAM}/{name}").status == 200
        assert b"event: done" in unharmed.read()
    assert here.snapshot(name).status == 401


def test_on_postgresql_it_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, postgresql: databases.PostgreSQL
) -> None:
    url = postgresql.new()
    with running(tmp_path_factory, url, "uvicorn", STREAM_OPEN_ACCESS="0") as server:
        place = Place(server, url)
        place.new_user("m")
        visitor, _ = session(server)
        ids = {fresh(), fresh()}
        for name in ids:
            visitor.post({"stream_id": name, "message": "/count 2 0"})
        member = place.log_in("m", visitor.headers["Cookie"])
        assert (listed(member), listed(visitor)) == (ids, set())
        name = ids.pop()
        assert place.holder(place.key()).snapshot(name, user_id="u1").status == 404
        asked = urlencode({"stream_id": "live", "message": "/count 600000 100"})
        with member.open("GET", f"{STREAM}?{asked}") as reader:
            reader.readline()
            place.log_out(member)
            assert b"event: done" not in reader.read()
