"""§3, §12.10: what a browser says of the site that makes a request."""

from __future__ import annotations

import pytest

from tests.contract.wire import CANARY, Client, client, fresh, session
from tests.servers import Server

MESSAGE = f"/echo {CANARY}"

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Origin": ""},
    {"Origin": "garbage"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "own", "Sec-Fetch-Site": "cross-site"},
]
UNPROVEN = [{"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "garbage"}]
OWN = [
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Origin": "own"},
    {"Origin": "own", "Sec-Fetch-Site": "same-origin"},
]


def said(headers: dict[str, str], server: Server) -> dict[str, str]:
    """The headers, with the server's own origin where it is meant."""
    return {name: server.url if value == "own" else value for name, value in headers.items()}


@pytest.mark.parametrize("headers", FOREIGN + UNPROVEN)
def test_a_page_of_another_site_starts_nothing_with_a_session(guarded: Server, headers: dict[str, str]) -> None:
    someone, _ = session(guarded)
    headers = said(headers, guarded)
    name = fresh()
    for answer in (
        someone.get(stream_id=name, message=MESSAGE, headers=headers),
        someone.post({"stream_id": name, "message": MESSAGE}, headers=headers),
        someone.form({"stream_id": name, "message": MESSAGE}, headers=headers),
    ):
        assert answer.status == 403
    assert someone.snapshot(name).status == 404


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_starts_nothing_with_open_access(
    anyone: Client, user: str, headers: dict[str, str]
) -> None:
    headers = said(headers, anyone.server)
    assert anyone.get(user_id=user, stream_id="s1", message=MESSAGE, headers=headers).status == 403
    assert anyone.post({"user_id": user, "stream_id": "s1", "message": MESSAGE}, headers=headers).status == 403
    assert anyone.snapshot("s1", user_id=user).status == 404


@pytest.mark.parametrize("headers", OWN)
def test_our_own_page_and_a_client_that_is_no_browser_start(guarded: Server, headers: dict[str, str]) -> None:
    someone, _ = session(guarded)
    headers = said(headers, guarded)
    assert someone.post({"message": MESSAGE}, headers=headers).status == 200
    assert someone.get(message=MESSAGE, headers=headers).status == 200


@pytest.mark.parametrize("headers", FOREIGN + UNPROVEN)
def test_what_changes_nothing_is_not_asked_where_it_comes_from(guarded: Server, headers: dict[str, str]) -> None:
    someone, _ = session(guarded)
    headers = said(headers, guarded)
    someone.post({"stream_id": "s1", "message": "/count 1 0"})
    assert someone.get(stream_id="s1", headers=headers).status == 200
    assert someone.get(stream_id="s1", last_event_id=0, headers=headers).status == 200
    assert someone.snapshot("s1", headers=headers).status == 200
    assert someone.get("/api/v1/streams", headers=headers).status == 200
    assert someone.get("/api/v1/models", headers=headers).status == 200


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_gets_no_session(guarded: Server, headers: dict[str, str]) -> None:
    answer = client(guarded).post({}, path="/api/v1/anon_session", headers=said(headers, guarded))
    assert answer.status == 403
    assert answer.header("Set-Cookie") is None


@pytest.mark.parametrize("headers", OWN)
def test_our_own_page_gets_a_session(guarded: Server, headers: dict[str, str]) -> None:
    answer = client(guarded).post({}, path="/api/v1/anon_session", headers=said(headers, guarded))
    assert answer.status == 200


def test_no_other_site_is_let_in_by_cors(either: Client, user: str) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    either.get(user_id=user, stream_id="s1", message="/count 1 0")
    for answer in (
        either.get(user_id=user, stream_id="s1", headers=origin),
        either.snapshot("s1", user_id=user, headers=origin),
        either.send("OPTIONS", "/api/v1/stream", headers={**origin, "Access-Control-Request-Method": "POST"}),
    ):
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]
