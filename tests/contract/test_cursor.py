"""§3: ``last_event_id`` and ``Last-Event-ID``; promise 9: resume never starts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.wire import CANARY, JSON, STREAM, Client, fresh

COUNT = "/count 5 0"
LAST = 5


@pytest.fixture
def whole(anyone: Client, user: str) -> list[bytes]:
    """The frames of stream ``s1``, which is closed: five chunks and ``done``."""
    frames = anyone.get(user_id=user, stream_id="s1", message=COUNT).frames
    assert [frame.event_id for frame in frames] == list(range(LAST + 1))
    return [frame.raw for frame in frames]


def after(client: Client, user: str, parameter: Any = None, header: str | None = None) -> list[bytes]:
    """The frames of ``s1`` after a cursor."""
    values = {"user_id": user, "stream_id": "s1"} | ({} if parameter is None else {"last_event_id": parameter})
    answer = client.get(headers={} if header is None else {"Last-Event-ID": header}, **values)
    assert answer.status in {200, 204}, answer.body
    assert answer.header("X-Stream-Id") == "s1"
    return [frame.raw for frame in answer.frames]


def test_without_a_cursor_all_of_it_comes(anyone: Client, user: str, whole: list[bytes]) -> None:
    assert after(anyone, user) == whole
    assert after(anyone, user, -1) == whole
    assert after(anyone, user, None, "-1") == whole


@pytest.mark.parametrize("last", range(LAST))
def test_a_cursor_is_a_real_value_and_0_is_too(anyone: Client, user: str, whole: list[bytes], last: int) -> None:
    assert after(anyone, user, last) == whole[last + 1 :]
    assert after(anyone, user, None, str(last)) == whole[last + 1 :]
    assert after(anyone, user, f"00{last}") == whole[last + 1 :]


@pytest.mark.parametrize(("parameter", "header"), [(0, "3"), (3, "0"), (3, "-1"), (-1, "3"), (3, "3")])
def test_where_both_are_there_the_larger_counts(
    anyone: Client, user: str, whole: list[bytes], parameter: int, header: str
) -> None:
    assert after(anyone, user, parameter, header) == whole[4:]


def test_a_post_may_say_its_cursor_too(anyone: Client, user: str, whole: list[bytes]) -> None:
    asked = {"user_id": user, "stream_id": "s1", "message": COUNT, "last_event_id": 2}
    assert [frame.raw for frame in anyone.post(asked).frames] == whole[3:]
    assert [frame.raw for frame in anyone.form(asked).frames] == whole[3:]
    assert [frame.raw for frame in anyone.post(asked, headers={"Last-Event-ID": "3"}).frames] == whole[4:]


@pytest.mark.parametrize("header", ["garbage", "-2", "1.0", "1, 2", "0x1", "+1", "\xb9", "1e1", "9" * 50, "- 1"])
def test_a_last_event_id_header_that_is_no_integer_is_400(either: Client, user: str, header: str) -> None:
    answer = either.get(headers={"Last-Event-ID": header}, user_id=user, stream_id="s1", message=COUNT)
    assert list(answer.errors) == ["Last-Event-ID"]
    assert either.snapshot("s1", user_id=user).status == 404


@pytest.mark.parametrize("header", ["-1", "0", "7", ""])
def test_a_last_event_id_header_without_a_stream_id_is_400(either: Client, user: str, header: str) -> None:
    answer = either.get(headers={"Last-Event-ID": header}, user_id=user, message=f"/echo {CANARY}")
    assert list(answer.errors) == ["stream_id"]
    assert either.get("/api/v1/streams", user_id=user).json["streams"] == []


def test_a_last_event_id_without_a_stream_id_is_400(anyone: Client, user: str) -> None:
    assert list(anyone.get(user_id=user, message=COUNT, last_event_id=0).errors) == ["stream_id"]
    assert anyone.get(user_id=user, message=COUNT, last_event_id=-1).status == 200


@pytest.mark.parametrize("header", ["-1", "0", "7"])
def test_an_unknown_stream_with_any_last_event_id_header_is_404(either: Client, user: str, header: str) -> None:
    name = fresh()
    for answer in (
        either.get(headers={"Last-Event-ID": header}, user_id=user, stream_id=name, message=COUNT),
        either.post({"user_id": user, "stream_id": name, "message": COUNT}, headers={"Last-Event-ID": header}),
    ):
        assert answer.status == 404
    assert either.snapshot(name, user_id=user).status == 404


@pytest.mark.parametrize("last", [0, 1, 10**20])
def test_an_unknown_stream_with_a_cursor_from_0_is_404(anyone: Client, user: str, last: int) -> None:
    name = fresh()
    assert anyone.get(user_id=user, stream_id=name, message=COUNT, last_event_id=last).status == 404
    started = anyone.post(
        {"user_id": user, "stream_id": name, "message": COUNT, "last_event_id": last}, headers={"Accept": JSON}
    )
    assert started.status == 404
    assert anyone.snapshot(name, user_id=user).status == 404


def test_an_unknown_stream_with_cursor_minus_1_starts(anyone: Client, user: str) -> None:
    name = fresh()
    assert anyone.get(user_id=user, stream_id=name, message=COUNT, last_event_id=-1).frames[-1].type == "done"


def test_an_unknown_stream_without_a_message_is_404(anyone: Client, user: str) -> None:
    assert anyone.get(user_id=user, stream_id=fresh()).status == 404
    assert anyone.get(user_id=user, stream_id=fresh(), last_event_id=-1).status == 404


@pytest.mark.parametrize("last", [LAST + 1, LAST + 2, 10**18, 10**29])
def test_a_cursor_beyond_the_end_is_409_and_told_where_the_end_is(
    anyone: Client, user: str, whole: list[bytes], last: int
) -> None:
    for answer in (
        anyone.get(user_id=user, stream_id="s1", last_event_id=last),
        anyone.get(user_id=user, stream_id="s1", headers={"Last-Event-ID": str(last)}),
        anyone.get(user_id=user, stream_id="s1", message=COUNT, last_event_id=last),
    ):
        assert answer.status == 409
        assert answer.json["error_type"] == "ahead_of_log"
        assert answer.json["latest_event_id"] == LAST


def test_a_cursor_beyond_the_end_of_a_live_stream_is_409(anyone: Client, user: str) -> None:
    anyone.begin(user_id=user, stream_id="s1", message="/sleep 60")
    answer = anyone.get(user_id=user, stream_id="s1", last_event_id=0)
    assert (answer.status, answer.json["latest_event_id"]) == (409, -1)
    assert anyone.send("DELETE", f"{STREAM}/s1?user_id={user}").status == 200


def test_a_closed_stream_with_nothing_after_the_cursor_is_204(either: Client, user: str) -> None:
    either.get(user_id=user, stream_id="s1", message=COUNT)
    for answer in (
        either.get(user_id=user, stream_id="s1", last_event_id=LAST),
        either.get(user_id=user, stream_id="s1", headers={"Last-Event-ID": str(LAST)}),
        either.get(user_id=user, stream_id="s1", message=COUNT, last_event_id=LAST),
        either.post({"user_id": user, "stream_id": "s1", "last_event_id": LAST}),
    ):
        assert answer.status == 204
        assert answer.body == b""
        assert answer.header("Content-Type") is None


def test_a_resume_tails_a_live_stream_from_its_cursor_to_the_end(anyone: Client, user: str) -> None:
    anyone.begin(user_id=user, stream_id="s1", message="/count 60 100")
    with anyone.open("GET", f"{STREAM}?user_id={user}&stream_id=s1") as response:
        while b"id: 10\n" not in response.readline():
            pass
    frames = anyone.get(user_id=user, stream_id="s1", last_event_id=10).frames
    assert [frame.event_id for frame in frames] == list(range(11, 61))
