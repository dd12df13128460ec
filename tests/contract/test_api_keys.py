"""§3 Identity: API keys; promise 8 for every kind of identity against every other."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from streaming import keys
from streaming.keys import Credential
from streaming.revocations import Revocations
from tests import databases
from tests.contract.conftest import running
from tests.contract.place import Place
from tests.contract.wire import CANARY, CANARY_KEY, JSON, Answer, Client, client, fresh, session

MESSAGE = f"/echo {CANARY}"
UNKNOWN_KEY = "mgk_" + "A" * 43


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite
) -> Iterator[Place]:
    """A server with open access, so that all kinds of identity meet on it."""
    url = sqlite.new()
    with running(tmp_path_factory, url, request.param) as server:
        yield Place(server, url)


@pytest.fixture(scope="module")
def key(place: Place) -> str:
    """A key with all scopes."""
    return place.key()


def rest(answer: Answer, name: str) -> tuple[Any, ...]:
    """All of an answer that may tell something, but for the id that was asked for and for times."""
    headers = {k.lower(): v for k, v in answer.headers if k.lower() not in {"x-request-id", "date"}}
    body = re.sub(rb'"latency_ms":\d+', b"", answer.body)
    return answer.status, str(headers).replace(name, "ID"), body.replace(name.encode(), b"ID")


def test_a_key_starts_attaches_cancels_and_reads_for_any_user_it_names(place: Place, key: str) -> None:
    program, user, name = place.holder(key), fresh("u"), fresh()
    assert program.post({"user_id": user, "stream_id": name, "message": "/count 2 0"}).frames[-1].type == "done"
    assert program.get(user_id=user, stream_id=name, last_event_id=1).frames[-1].type == "done"
    assert program.snapshot(name, user_id=user).json["user_id"] == user
    listed = program.get("/api/v1/streams", user_id=user).json["streams"]
    assert [shown["stream_id"] for shown in listed] == [name]
    assert program.send("DELETE", f"/api/v1/stream/{name}?user_id={user}").status == 200
    assert program.get("/api/v1/streams", user_id=fresh("u")).json["streams"] == []


def test_a_key_has_to_name_a_user(place: Place, key: str) -> None:
    program = place.holder(key)
    for answer in (
        program.post({"message": MESSAGE}),
        program.get(stream_id="s1"),
        program.snapshot("s1"),
        program.get("/api/v1/streams"),
        program.send("DELETE", "/api/v1/stream/s1"),
    ):
        assert list(answer.errors) == ["user_id"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_schemes_name_has_no_case(place: Place, key: str, scheme: str) -> None:
    who = client(place.server, Authorization=f"{scheme} {key}")
    assert who.get("/api/v1/streams", user_id="u1").status == 200


def test_unknown_expired_and_revoked_keys_are_the_same_401(place: Place) -> None:
    expired, revoked = place.key("--expires-days=1"), place.key()
    end_key(place, expired, "expires_at")
    end_key(place, revoked, "revoked_at")
    answers = set()
    for text in (UNKNOWN_KEY, expired, revoked, f"mgk_{CANARY_KEY}", "", expired[:-1], "\xff", hash_of(expired)):
        someone, _ = session(place.server)
        for who in (place.holder(text), place.holder(text, **someone.headers)):
            for answer in (
                who.post({"user_id": "u1", "message": MESSAGE}),
                who.snapshot("s1", user_id="u1"),
                who.get("/api/v1/streams", user_id="u1"),
                who.send("DELETE", "/api/v1/stream/s1?user_id=u1"),
            ):
                assert answer.status == 401
                answers.add(answer.body)
    assert len(answers) == 1


def test_a_key_that_has_not_expired_yet_is_good(place: Place) -> None:
    assert place.holder(place.key("--expires-days=0.01")).get("/api/v1/streams", user_id="u1").status == 200


def test_without_its_scope_a_key_does_nothing(place: Place) -> None:
    user, name = fresh("u"), fresh()
    reads, streams = place.holder(place.key("--scopes=read")), place.holder(place.key("--scopes=stream"))
    streams.post({"user_id": user, "stream_id": name, "message": "/count 1 0"})
    for answer in (
        reads.post({"user_id": user, "message": MESSAGE}),
        reads.get(user_id=user, stream_id=name),
        reads.send("DELETE", f"/api/v1/stream/{name}?user_id={user}"),
        reads.form({"user_id": user}, path=f"/api/v1/stream/{name}/cancel"),
        streams.snapshot(name, user_id=user),
        streams.get("/api/v1/streams", user_id=user),
    ):
        assert answer.status == 403
    assert reads.get("/api/v1/streams", user_id=user).status == 200
    assert streams.get(user_id=user, stream_id=name).status == 200


def test_a_key_wins_over_cookies(place: Place, key: str) -> None:
    someone, user_id = session(place.server)
    someone.begin(stream_id="s1", message="/count 1 0")
    both = place.holder(key, **someone.headers)
    assert both.snapshot("s1", user_id=user_id).status == 404
    assert list(both.snapshot("s1").errors) == ["user_id"]
    # Not a request by cookie: it needs no proof that our own page made it.
    assert both.post({"user_id": "u1", "message": "/count 1 0"}, headers={"Sec-Fetch-Site": "none"}).status == 200


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}])
def test_a_page_of_another_site_starts_nothing_with_a_key(place: Place, key: str, headers: dict[str, str]) -> None:
    answer = place.holder(key).post({"user_id": "u1", "message": MESSAGE}, headers=headers)
    assert answer.status == 403


Ask = Callable[[Client, str, dict[str, Any]], Answer]
ASKS: dict[str, Ask] = {
    "snapshot": lambda who, name, user: who.snapshot(name, **user),
    "list": lambda who, name, user: who.get("/api/v1/streams", before=name, **user),
    "attach": lambda who, name, user: who.get(stream_id=name, **user),
    "attach by POST": lambda who, name, user: who.post({"stream_id": name, **user}, headers={"Accept": JSON}),
    "resume": lambda who, name, user: who.get(stream_id=name, last_event_id=0, **user),
    "resume by header": lambda who, name, user: who.get(stream_id=name, headers={"Last-Event-ID": "0"}, **user),
    "resume a request": lambda who, name, user: who.get(stream_id=name, last_event_id=0, message=MESSAGE, **user),
    "follow": lambda who, name, user: who.post({"message": MESSAGE, "parent_id": name, **user}),
    "continue": lambda who, name, user: who.post({"continues": name, **user}),
    "cancel": lambda who, name, user: who.send("DELETE", f"/api/v1/stream/{name}?{query(user)}"),
    "cancel by POST": lambda who, name, user: who.form(user, path=f"/api/v1/stream/{name}/cancel"),
    # The last, since from then on the stranger has a stream of that id.
    "start": lambda who, name, user: who.post({"stream_id": name, "message": "/count 3 0", **user}),
}


def test_to_every_other_identity_a_stream_does_not_exist(place: Place) -> None:
    """(session A, session B, open access, key 1 for x, key 1 for y, key 2 for x) against each other."""
    (session_a, x), (session_b, _) = session(place.server), session(place.server)
    one, two, y = place.holder(place.key()), place.holder(place.key()), fresh("u")
    # x is session A's own name: only the issuer tells the others from it.
    who: dict[str, tuple[Client, dict[str, Any]]] = {
        "session A": (session_a, {}),
        "session B": (session_b, {}),
        "open access": (client(place.server), {"user_id": x}),
        "key 1, x": (one, {"user_id": x}),
        "key 1, y": (one, {"user_id": y}),
        "key 2, x": (two, {"user_id": x}),
    }
    for owner, (asks, as_owner) in who.items():
        for stranger in who.keys() - {owner}:
            name, missing = fresh(), fresh()
            assert asks.post({"stream_id": name, "message": "/count 9 0", **as_owner}).status == 200
            before = asks.snapshot(name, **as_owner).body
            other, as_stranger = who[stranger]
            for kind, ask in ASKS.items():
                foreign, unknown = ask(other, name, as_stranger), ask(other, missing, as_stranger)
                assert rest(foreign, name) == rest(unknown, missing), (owner, stranger, kind)
                assert foreign.status == (200 if kind == "start" else 400 if kind == "list" else 404), kind
            listed = other.get("/api/v1/streams", limit=100, **as_stranger).json["streams"]
            assert {s["message"] for s in listed if s["stream_id"] == name} == {"/count 3 0"}
            assert asks.snapshot(name, **as_owner).body == before


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
def test_a_reader_ends_within_two_seconds_of_its_key_and_the_answer_goes_on(place: Place, column: str) -> None:
    lost, kept, user, name = place.key(), place.key(), fresh("u"), fresh()
    program, other = place.holder(lost), place.holder(kept)
    other.begin(user_id=user, stream_id=name, message="/count 400000 100")
    with (
        program.open(
            "GET", f"/api/v1/stream?{query(user_id=user, stream_id=name, message='/count 800 100')}"
        ) as reader,
        other.open("GET", f"/api/v1/stream?{query(user_id=user, stream_id=name)}") as unharmed,
    ):
        reader.readline()
        end_key(place, lost, column)
        ended = time.monotonic()
        whole = reader.read()
        assert time.monotonic() - ended < 2.5, "two seconds, and what a busy machine takes"
        assert b"event: done" not in whole and b"event: error" not in whole
        assert other.send("DELETE", f"/api/v1/stream/{name}?{query(user_id=user)}").status == 200
        assert b"event: done" in unharmed.read()
    assert program.get(user_id=user, stream_id=name, last_event_id=1).status == 401
    number = place.sql("SELECT id FROM streaming_apikey WHERE hash = ?", hash_of(lost))[0][0]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if place.sql("SELECT status FROM streaming_stream WHERE issuer = ?", f"key:{number}") == [("done",)]:
            return
        time.sleep(0.1)
    raise AssertionError("the answer of the key that ended did not go on to its end")


def test_when_a_key_was_last_used_is_written_and_not_for_every_request(place: Place) -> None:
    text = place.key()
    program = place.holder(text)
    seen = set()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert program.get("/api/v1/streams", user_id="u1").status == 200
        seen |= {row[0] for row in place.sql("SELECT last_used_at FROM streaming_apikey WHERE hash = ?", hash_of(text))}
        time.sleep(0.1)
    assert len(seen - {None}) == 1


def test_the_database_holds_a_hash_and_no_key(place: Place, key: str) -> None:
    rows = place.sql("SELECT name, prefix, hash, scopes FROM streaming_apikey WHERE hash = ?", hash_of(key))
    assert rows == [("tests", key[:10], hash_of(key), "read stream")]
    assert key not in str(place.sql("SELECT * FROM streaming_apikey"))


@pytest.mark.parametrize("options", ["--scopes=", "--scopes=all", "--expires-days=0", "--expires-days=-1"])
def test_a_key_that_makes_no_sense_is_not_made(place: Place, options: str) -> None:
    made = place.manage("create_api_key", "tests", options)
    assert made.returncode != 0
    assert "Traceback" not in made.stderr
    assert "mgk_" not in made.stdout


class CountingStore:
    """A store that counts what is asked of it; all keys are revoked."""

    def __init__(self) -> None:
        self.asked: list[set[Credential]] = []

    async def read(self, query: Any, in_use: set[Credential]) -> set[Credential]:
        assert query is keys.still_good
        self.asked.append(in_use)
        return set()


class FakeReader:
    """Tells whether it was ended."""

    ended = False

    def end(self) -> None:
        self.ended = True


def test_one_look_asks_once_for_all_readers() -> None:
    store = CountingStore()
    revocations = Revocations(store)  # type: ignore[arg-type]
    readers: list[Any] = [FakeReader() for _ in range(100)]
    for number, reader in enumerate(readers):
        revocations.admit(reader, Credential(key=number % 3))
    gone: Any = readers.pop()
    revocations.forget(gone, Credential(key=0))
    asyncio.run(revocations._look())
    assert store.asked == [{Credential(key=0), Credential(key=1), Credential(key=2)}]
    assert all(reader.ended for reader in readers) and not gone.ended


def query(values: dict[str, str] | None = None, **more: str) -> str:
    return urlencode({**(values or {}), **more})


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def end_key(place: Place, key: str, column: str) -> None:
    """Revoke a key, or let it expire, behind the server's back."""
    place.sql(f"UPDATE streaming_apikey SET {column} = '2020-01-01 00:00:00' WHERE hash = ?", hash_of(key))
