"""§3: "Checks are made in this order: 400, 401/403, 404, 410, 409 conflict, 409 ahead, 204, then 503"."""

from __future__ import annotations

import pytest

from tests.contract.wire import CANARY, CANARY_KEY, Client, client, fresh, session
from tests.servers import Server

MESSAGE = f"/echo {CANARY}"
KEY = {"Authorization": f"Bearer {CANARY_KEY}"}
CROSS = {"Sec-Fetch-Site": "cross-site"}


def test_400_comes_before_401(guarded: Server) -> None:
    stranger = client(guarded)
    assert list(stranger.post({"message": MESSAGE, "max_tokens": 0}).errors) == ["max_tokens"]
    assert list(stranger.post({"message": MESSAGE, "max_tokens": 0}, headers=KEY).errors) == ["max_tokens"]
    assert list(stranger.get("/api/v1/streams", limit=0, headers=KEY).errors) == ["limit"]
    assert stranger.post({"message": MESSAGE}).status == 401
    assert stranger.post({"message": MESSAGE}, headers=KEY).status == 401


def test_400_comes_before_403_and_409(guarded: Server) -> None:
    someone, _ = session(guarded)
    someone.begin(stream_id="s1", message="/count 1 0")
    wrong = {"user_id": "somebody-else", "stream_id": "s1", "message": "/count 2 0", "temperature": "hot"}
    assert list(someone.post(wrong, headers=CROSS).errors) == ["temperature"]


def test_401_comes_before_404(guarded: Server) -> None:
    assert client(guarded).get(stream_id=fresh()).status == 401
    assert client(guarded).get(stream_id=fresh(), headers=KEY).status == 401
    assert client(guarded).snapshot(fresh()).status == 401


def test_403_comes_before_404_and_409(guarded: Server) -> None:
    someone, _ = session(guarded)
    someone.begin(stream_id="s1", message="/count 1 0")
    assert someone.get(user_id="somebody-else", stream_id=fresh()).status == 403
    assert someone.get(user_id="somebody-else", stream_id="s1", message="/count 2 0").status == 403
    assert someone.get(stream_id=fresh(), message=MESSAGE, last_event_id=3, headers=CROSS).status == 403
    assert someone.get(stream_id="s1", message="/count 2 0", headers=CROSS).status == 403


def test_404_comes_before_503(anyone: Client, user: str) -> None:
    asked = {"user_id": user, "message": MESSAGE, "model": "gpt-4o-mini"}
    assert anyone.post({**asked, "stream_id": fresh(), "last_event_id": 0}).status == 404
    assert anyone.post({**asked, "parent_id": fresh()}).status == 404
    assert anyone.post(asked).status == 503


def test_a_conflict_comes_before_ahead_and_204_and_503(anyone: Client, user: str) -> None:
    anyone.begin(user_id=user, stream_id="s1", message="/count 1 0")
    anyone.closed("s1", user_id=user)
    for last in (99, 1):
        answer = anyone.get(user_id=user, stream_id="s1", message="/count 2 0", last_event_id=last)
        assert (answer.status, answer.json["error_type"]) == (409, "conflict")
    answer = anyone.get(user_id=user, stream_id="s1", message="/count 1 0", model="gpt-4o-mini")
    assert (answer.status, answer.json["error_type"]) == (409, "conflict")


def test_ahead_comes_before_204(anyone: Client, user: str) -> None:
    anyone.begin(user_id=user, stream_id="s1", message="/count 1 0")
    anyone.closed("s1", user_id=user)
    assert anyone.get(user_id=user, stream_id="s1", last_event_id=2).status == 409
    assert anyone.get(user_id=user, stream_id="s1", last_event_id=1).status == 204


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_attach_does_not_care_for_what_only_starts_need(anyone: Client, user: str, method: str) -> None:
    anyone.begin(user_id=user, stream_id="s1", message="/count 1 0")
    query = f"user_id={user}&stream_id=s1&model=gpt-4o-mini&parent_id={fresh()}"
    assert anyone.send(method, f"/api/v1/stream?{query}").status == 200
