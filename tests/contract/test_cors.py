"""CORS: off, and for the origins of ``CORS_ALLOWED_ORIGINS`` on; never with cookies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import databases
from tests.contract.conftest import running
from tests.contract.place import Place
from tests.contract.test_open_access import run
from tests.contract.wire import CANARY, STREAM, Answer, Client, client, fresh, session

MESSAGE = f"/echo {CANARY}"
ALLOWED = "https://app.example"
SECOND = "http://localhost:5173"
FROM_ALLOWED = {"Origin": ALLOWED, "Sec-Fetch-Site": "cross-site"}
NOT_ALLOWED = [
    "https://elsewhere.example",
    "https://app.example.evil.example",
    "https://app.example:444",
    "http://app.example",
    "https://app.example/",
    "https://app.example/path",
    "https://user@app.example",
    "HTTPS://APP.EXAMPLE",
    "https://sub.app.example",
    "https://app.example, https://elsewhere.example",
    "null",
    "*",
    "",
    "http://[",
]
PATHS = [STREAM, "/api/v1/streams", "/api/v1/models", "/api/v1/streams/s1", "/api/v1/stream/s1", "/api/nothing"]


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite
) -> Iterator[Place]:
    """A server without open access that two other origins may use."""
    url = sqlite.new()
    allowed = {"STREAM_OPEN_ACCESS": "0", "CORS_ALLOWED_ORIGINS": f"{ALLOWED},{SECOND}"}
    with running(tmp_path_factory, url, request.param, **allowed) as server:
        yield Place(server, url)


@pytest.fixture(scope="module")
def key(place: Place) -> str:
    """A key with all scopes."""
    return place.key()


def cors(answer: Answer) -> dict[str, str]:
    """The headers of CORS."""
    prefix = "access-control-"
    return {k.lower().removeprefix(prefix): v for k, v in answer.headers if k.lower().startswith(prefix)}


def preflight(who: Client, path: str, origin: str, method: str = "POST") -> Answer:
    """What a browser asks before a request with headers of its own."""
    wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,last-event-id"}
    return who.send("OPTIONS", path, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site", **wanted})


def names(listed: str) -> set[str]:
    return {name.strip().lower() for name in listed.split(",")}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [ALLOWED, SECOND])
def test_a_preflight_of_an_allowed_origin_is_answered(place: Place, path: str, origin: str) -> None:
    answer = preflight(client(place.server), path, origin)
    told = cors(answer)
    assert answer.status == 200
    assert answer.body == b""
    assert told["allow-origin"] == origin
    assert names(told["allow-headers"]) == {"authorization", "content-type", "last-event-id", "x-request-id"}
    assert {"get", "post", "delete"} <= names(told["allow-methods"])
    assert "allow-credentials" not in told
    assert "origin" in names(answer.header("Vary") or "")
    assert answer.header("X-Request-Id")


@pytest.mark.parametrize("origin", NOT_ALLOWED)
def test_no_other_origin_is_told_anything(place: Place, key: str, origin: str) -> None:
    program = place.holder(key)
    for path in (STREAM, "/api/v1/streams"):
        assert cors(preflight(program, path, origin)) == {}
    header = {"Origin": origin}
    for answer in (
        program.get(user_id="u1", stream_id="s1", headers=header),
        program.get("/api/v1/streams", user_id="u1", headers=header),
    ):
        assert cors(answer) == {}
        assert "origin" in names(answer.header("Vary") or ""), "a cache must not give this to an allowed one"
    assert program.post({"user_id": "u1", "message": MESSAGE}, headers=header).status == 403


def test_an_allowed_origin_starts_resumes_and_cancels_with_a_key(place: Place, key: str) -> None:
    program, user, name = place.holder(key, **FROM_ALLOWED), fresh("u"), fresh()
    answers = [
        program.post({"user_id": user, "stream_id": name, "message": "/count 3 0"}),
        program.get(user_id=user, stream_id=name, headers={"Last-Event-ID": "1"}),
        program.get(user_id=user, stream_id=name, last_event_id=3),
        program.snapshot(name, user_id=user),
        program.get("/api/v1/streams", user_id=user),
        program.send("DELETE", f"/api/v1/stream/{name}?user_id={user}"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 204, 200, 200, 200]
    assert [frame.event_id for frame in answers[1].frames] == [2, 3]
    for answer in answers:
        told = cors(answer)
        assert told.pop("allow-origin") == ALLOWED
        assert names(told.pop("expose-headers")) == {"x-stream-id", "x-request-id", "retry-after"}
        assert told == {}
        assert "origin" in names(answer.header("Vary") or "")


def test_refusals_can_be_read_by_an_allowed_origin(place: Place, key: str) -> None:
    stranger, program = client(place.server, **FROM_ALLOWED), place.holder(key, **FROM_ALLOWED)
    large = b'{"message": "' + b"x" * 1024 * 1024 + b'"}'
    answers = [
        program.post({}),
        stranger.post({"user_id": "u1", "message": MESSAGE}),
        stranger.get("/api/v1/streams"),
        program.get(user_id="u1", stream_id=fresh()),
        program.send("PATCH", STREAM),
        program.get("/api/nothing"),
        program.post(large),
        program.post(large, path="/api/v1/stream/s1/cancel"),
    ]
    assert [answer.status for answer in answers] == [400, 401, 401, 404, 405, 404, 413, 413]
    assert [cors(answer).get("allow-origin") for answer in answers] == [ALLOWED] * len(answers)


def test_a_session_is_for_our_own_pages_alone(place: Place) -> None:
    someone, _ = session(place.server)
    name = fresh()
    origin = {"Origin": ALLOWED}
    for headers in (FROM_ALLOWED, origin, *({**origin, "Sec-Fetch-Site": s} for s in ("same-site", "same-origin"))):
        assert someone.post({"stream_id": name, "message": MESSAGE}, headers=headers).status == 403
        assert someone.send("DELETE", f"/api/v1/stream/{name}", headers=headers).status == 403
        made = client(place.server).post({}, path="/api/v1/anon_session", headers=headers)
        assert made.status == 403
        assert made.header("Set-Cookie") is None
    assert someone.snapshot(name).status == 404


def test_what_is_not_the_api_is_not_for_other_origins(place: Place) -> None:
    for path in ("/magic", "/health", "/version", "/admin/login/"):
        assert cors(client(place.server).send("GET", path, headers=FROM_ALLOWED)) == {}
        assert "allow-origin" not in cors(preflight(client(place.server), path, ALLOWED))


def test_without_the_setting_there_is_no_cors(either: Client, user: str) -> None:
    assert cors(preflight(either, STREAM, ALLOWED)) == {}
    assert preflight(either, STREAM, ALLOWED).status == 405
    assert either.post({"user_id": user, "message": MESSAGE}, headers={"Origin": ALLOWED}).status == 403
    assert cors(either.get("/api/v1/streams", user_id=user, headers={"Origin": ALLOWED})) == {}


@pytest.mark.parametrize("origins", ["null", "*", "app.example", "https://app.example/path", "https://a.example,null"])
def test_origins_that_make_no_sense_are_refused_by_the_checks(origins: str) -> None:
    checked = run("manage.py", "check", CORS_ALLOWED_ORIGINS=origins)
    assert checked.returncode != 0
    assert "CORS_ALLOWED_ORIGINS" in checked.stderr
    assert "Traceback" not in checked.stderr
