"""§3 Identity, §7 ``anon_session``, promise 8: who may see and do what, with a session."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core import signing

from streaming.identity import COOKIE, SALT
from tests import databases
from tests.contract.wire import CANARY, CANARY_KEY, JSON, STREAM, Answer, Client, client, fresh, session
from tests.servers import Server

MESSAGE = f"/echo {CANARY}"

Ask = Callable[[Client, str], Answer]
ASK_FOR_A_STREAM: list[Ask] = [
    lambda who, name: who.snapshot(name),
    lambda who, name: who.get(stream_id=name),
    lambda who, name: who.get(stream_id=name, last_event_id=0),
    lambda who, name: who.get(stream_id=name, last_event_id=99),
    lambda who, name: who.get(stream_id=name, headers={"Last-Event-ID": "0"}),
    lambda who, name: who.get(stream_id=name, message="/count 9 0", last_event_id=0),
    lambda who, name: who.begin(stream_id=name),
    lambda who, name: who.post({"message": MESSAGE, "parent_id": name}),
    lambda who, name: who.post({"continues": name}),
    lambda who, name: who.get("/api/v1/streams", before=name),
]


@pytest.fixture
def someone(guarded: Server) -> Client:
    """Somebody with an anonymous session."""
    return session(guarded)[0]


def body_without_request_id(answer: Answer) -> tuple[int, list[str], bytes]:
    """All of an answer that may tell something."""
    return answer.status, sorted(name.lower() for name, _ in answer.headers), answer.body


def test_without_an_identity_everything_of_ones_own_is_401(guarded: Server) -> None:
    stranger = client(guarded)
    for answer in (
        stranger.get(user_id="u1", message=MESSAGE),
        stranger.post({"user_id": "u1", "message": MESSAGE}),
        stranger.get(user_id="u1", stream_id="s1"),
        stranger.snapshot("s1", user_id="u1"),
        stranger.get("/api/v1/streams", user_id="u1"),
        stranger.snapshot("s1"),
    ):
        assert answer.status == 401
        assert answer.json["error_type"] == "identity_required"


@pytest.mark.parametrize(
    "authorization", [f"Bearer {CANARY_KEY}", "Bearer", "", "Basic dTpw", "bearer \xff", f"Token {CANARY_KEY}"]
)
def test_an_authorization_that_is_not_known_is_401(guarded: Server, someone: Client, authorization: str) -> None:
    for who in (client(guarded), someone):
        for answer in (
            who.post({"message": MESSAGE}, headers={"Authorization": authorization}),
            who.snapshot("s1", headers={"Authorization": authorization}),
            who.get("/api/v1/streams", headers={"Authorization": authorization}),
        ):
            assert answer.status == 401


def test_open_access_does_not_outdo_an_authorization_that_is_not_known(anyone: Client, user: str) -> None:
    header = {"Authorization": f"Bearer {CANARY_KEY}"}
    assert anyone.get(user_id=user, message=MESSAGE, headers=header).status == 401
    assert anyone.get("/api/v1/streams", user_id=user, headers=header).status == 401


def test_an_anonymous_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(guarded: Server) -> None:
    answer = client(guarded).send("POST", "/api/v1/anon_session")
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").split(";")[0] == JSON
    assert set(answer.json) == {"user_id"}
    assert re.fullmatch(r"anon_[A-Za-z0-9]{8,}", answer.json["user_id"])
    attributes = [part.strip().lower() for part in (answer.header("Set-Cookie") or "").split(";")[1:]]
    assert "httponly" in attributes
    assert "samesite=lax" in attributes
    assert "path=/" in attributes
    assert any(part.startswith("max-age=") for part in attributes)


def test_every_anonymous_session_is_a_new_one(guarded: Server) -> None:
    assert len({session(guarded)[1] for _ in range(5)}) == 5


def test_a_session_starts_attaches_and_sees_without_naming_itself(guarded: Server) -> None:
    someone, user_id = session(guarded)
    name = fresh()
    assert someone.post({"stream_id": name, "message": "/count 2 0"}).frames[-1].type == "done"
    assert someone.get(stream_id=name, last_event_id=1).frames[-1].type == "done"
    assert someone.snapshot(name).json["user_id"] == user_id
    assert [shown["stream_id"] for shown in someone.get("/api/v1/streams").json["streams"]] == [name]


def test_a_session_may_name_itself_and_nobody_else(guarded: Server) -> None:
    someone, user_id = session(guarded)
    name = fresh()
    assert someone.post({"user_id": user_id, "stream_id": name, "message": "/count 2 0"}).status == 200
    assert someone.snapshot(name, user_id=user_id).status == 200
    for answer in (
        someone.post({"user_id": "u1", "message": MESSAGE}),
        someone.get(user_id="u1", stream_id=name),
        someone.get(user_id=user_id.upper(), stream_id=name),
        someone.snapshot(name, user_id="u1"),
        someone.get("/api/v1/streams", user_id="u1"),
    ):
        assert answer.status == 403
        assert answer.json["error_type"] == "not_allowed"


@pytest.mark.parametrize(
    "tamper",
    [
        lambda cookie: cookie[:-1] + ("a" if cookie[-1] != "a" else "b"),
        lambda cookie: cookie.replace("anon_", "anon_0"),
        lambda cookie: cookie.partition("=")[0] + "=anon_1",
        lambda cookie: cookie.partition("=")[0] + "=",
        lambda cookie: cookie.rpartition(":")[0],
        lambda cookie: cookie.partition("=")[0] + "=" + ":" * 50,
        lambda cookie: cookie.partition("=")[0] + '="\\000\\377"',
        lambda cookie: cookie.partition("=")[0] + "=\xff\xfe",
        lambda cookie: cookie.replace(":", "::", 1),
    ],
)
def test_a_tampered_cookie_is_no_identity(guarded: Server, tamper: Callable[[str], str]) -> None:
    someone, _ = session(guarded)
    tampered = client(guarded, Cookie=tamper(someone.headers["Cookie"]))
    assert tampered.get("/api/v1/streams").status == 401
    assert tampered.post({"message": MESSAGE}).status == 401
    assert someone.get("/api/v1/streams").status == 200


def test_a_cookie_signed_with_another_key_is_no_identity(guarded: Server) -> None:
    _, user_id = session(guarded)
    cookie = signing.TimestampSigner(key="another", salt=SALT).sign(user_id)
    assert client(guarded, Cookie=f"{COOKIE}={cookie}").get("/api/v1/streams").status == 401


@pytest.mark.parametrize("ask", ASK_FOR_A_STREAM)
def test_a_stream_of_someone_else_answers_as_one_that_does_not_exist(guarded: Server, ask: Ask) -> None:
    owner, other = session(guarded)[0], session(guarded)[0]
    known, unknown = "known-0001", "known-0002"
    owner.begin(stream_id=known, message="/count 9 0")
    owner.closed(known)
    foreign, missing = ask(other, known), ask(other, unknown)
    assert foreign.status in {400, 404}
    assert body_without_request_id(foreign) == body_without_request_id(missing)


def test_an_id_that_a_stranger_has_taken_tells_nothing(guarded: Server) -> None:
    owner, other = session(guarded)[0], session(guarded)[0]
    owner.post({"stream_id": "same", "message": "/count 3 0", "temperature": 1})
    own = other.post({"stream_id": "same", "message": "/count 2 0"})
    assert own.status == 200
    assert [frame.event_id for frame in own.frames] == [0, 1, 2]
    assert len(owner.get(stream_id="same").frames) == 4
    assert owner.snapshot("same").json["message"] == "/count 3 0"
    assert other.snapshot("same").json["message"] == "/count 2 0"


def test_open_access_is_an_issuer_of_its_own(daphne: Server, anyone: Client) -> None:
    someone, user_id = session(daphne)
    someone.post({"stream_id": "s1", "message": "/count 3 0"})
    assert anyone.snapshot("s1", user_id=user_id).status == 404
    assert anyone.get(user_id=user_id, stream_id="s1").status == 404
    assert anyone.get("/api/v1/streams", user_id=user_id).json["streams"] == []
    assert anyone.post({"user_id": user_id, "stream_id": "s1", "message": "/count 1 0"}).status == 200
    assert someone.snapshot("s1").json["message"] == "/count 3 0"


def test_with_open_access_a_session_is_still_only_itself(daphne: Server) -> None:
    someone, _ = session(daphne)
    assert someone.get(user_id="u1", message=MESSAGE).status == 403


def test_with_open_access_every_call_needs_a_user_id(anyone: Client) -> None:
    for answer in (
        anyone.get(message=MESSAGE),
        anyone.post({"message": MESSAGE}),
        anyone.get(stream_id="s1"),
        anyone.snapshot("s1"),
        anyone.get("/api/v1/streams"),
    ):
        assert list(answer.errors) == ["user_id"]


def test_with_open_access_a_user_id_sees_its_own_only(anyone: Client) -> None:
    one, other = fresh("u"), fresh("u")
    anyone.post({"user_id": one, "stream_id": "s1", "message": "/count 1 0"})
    assert anyone.snapshot("s1", user_id=one).status == 200
    assert anyone.snapshot("s1", user_id=other).body == anyone.snapshot("s2", user_id=other).body
    assert anyone.snapshot("s1", user_id=other).status == 404


def test_what_an_error_tells_is_no_more_than_it_must(guarded: Server, someone: Client) -> None:
    """Neither the id that was asked for, nor the prompt, nor who asked."""
    name = fresh()
    answer = someone.get(stream_id=name, message=MESSAGE, last_event_id=3)
    assert answer.status == 404
    assert name.encode() not in answer.body


@pytest.fixture(scope="module")
def member(guarded: Server, guarded_url: str) -> Client:
    """Somebody who has logged in by Django's login."""
    password = {"DJANGO_SUPERUSER_PASSWORD": CANARY_KEY}
    databases.manage(guarded_url, "createsuperuser", "--noinput", "--username=m", "--email=m@example.com", **password)
    page = client(guarded).send("GET", "/admin/login/")
    csrf = (page.header("Set-Cookie") or "").split(";")[0]
    values = {"username": "m", "password": CANARY_KEY, "csrfmiddlewaretoken": csrf.partition("=")[2]}
    login = client(guarded, Cookie=csrf).form(values, path="/admin/login/?next=/health")
    assert login.status == 302, login.body
    cookies = [value.split(";")[0] for name, value in login.headers if name.lower() == "set-cookie"]
    return client(guarded, Cookie="; ".join(cookies))


def test_a_django_login_is_an_identity(member: Client) -> None:
    name = fresh()
    assert member.post({"stream_id": name, "message": "/count 2 0"}).frames[-1].type == "done"
    shown = member.snapshot(name).json
    assert member.snapshot(name, user_id=shown["user_id"]).status == 200
    assert member.snapshot(name, user_id="u1").status == 403
    assert member.get("/api/v1/streams").json["streams"][0]["stream_id"] == name


def test_a_login_that_has_ended_is_no_identity(guarded: Server, member: Client) -> None:
    for cookie in ("sessionid=nonsense", "sessionid=", 'sessionid="\\000aaaaaaaaaaaa"', "sessionid=" + "a" * 3000):
        assert client(guarded, Cookie=cookie).get("/api/v1/streams").status == 401
        assert client(guarded, Cookie=cookie).post({"message": MESSAGE}).status == 401


def test_a_cookie_with_a_nul_is_no_identity_on_postgresql_either(on_postgresql: Server, user: str) -> None:
    broken = client(on_postgresql, Cookie='sessionid="\\000aaaaaaaaaaaa"')
    assert broken.get(user_id=user, message="/count 1 0").status == 200
    assert broken.get("/api/v1/streams", user_id=user).status == 200
    assert broken.send("GET", STREAM).status == 400
