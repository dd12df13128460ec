"""Promise 8, for every route there is: what is someone else's answers as what does not exist, to whoever asks.

The routes are those of ``/api/openapi.json``: one that is new fails here until it is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from tests import databases
from tests.contract.conftest import running
from tests.contract.place import Place
from tests.contract.wire import JSON, Answer, Client, client, fresh, session

STREAM = "/api/v1/stream"

MAKE_KEYS_AND_STAFF = """
from django.contrib.auth import get_user_model
from django.conf import settings
from streaming.keys import create
get_user_model().objects.create_superuser("staff", password="{password}")
print(*(create(name, ["read", "stream"])[1] for name in ("one", "other")))
"""


@dataclass(frozen=True)
class Who:
    """Somebody, and how they name themselves where they have to."""

    client: Client
    user_id: str | None

    def send(self, method: str, path: str, values: dict[str, str] | None = None, **headers: str) -> Answer:
        """A request; what it says besides the path stands in the query."""
        named = {**({"user_id": self.user_id} if self.user_id else {}), **(values or {})}
        sent = {"X-Request-Id": "the-same", "Accept": JSON, **headers}
        return self.client.send(method, f"{path}?{urlencode(named)}" if named else path, headers=sent)

    def own(self) -> str:
        """A new stream of theirs, finished; its conversation has the same name, and its message tells it."""
        name = fresh("known")
        asked = {"message": f"/echo {name} and more", "stream_id": name, "conversation_id": name}
        # Cut off, so that its owner may continue it.
        begun = self.send("POST", STREAM, {**asked, "max_tokens": "11"})
        assert begun.status == 201, begun.body
        self.client.closed(name, **({"user_id": self.user_id} if self.user_id else {}))
        return name


Ask = Callable[[Who, str], Answer]

OWNED: dict[tuple[str, str], tuple[Ask, ...]] = {
    ("GET", STREAM): (
        lambda who, name: who.send("GET", STREAM, {"stream_id": name}),
        lambda who, name: who.send("GET", STREAM, {"stream_id": name, "last_event_id": "0"}),
        lambda who, name: who.send("GET", STREAM, {"stream_id": name}, **{"Last-Event-ID": "1"}),
    ),
    ("POST", STREAM): (
        lambda who, name: who.send("POST", STREAM, {"stream_id": name}),
        lambda who, name: who.send("POST", STREAM, {"message": "/count 1 0", "parent_id": name}),
        lambda who, name: who.send("POST", STREAM, {"continues": name}),
    ),
    ("GET", "/api/v1/streams"): (
        lambda who, name: who.send("GET", "/api/v1/streams", {"before": name}),
        lambda who, name: who.send("GET", "/api/v1/streams", {"conversation_id": name}),
    ),
    ("GET", "/api/v1/streams/{stream_id}"): (lambda who, name: who.send("GET", f"/api/v1/streams/{name}"),),
    ("DELETE", "/api/v1/stream/{stream_id}"): (lambda who, name: who.send("DELETE", f"{STREAM}/{name}"),),
    ("POST", "/api/v1/stream/{stream_id}/cancel"): (lambda who, name: who.send("POST", f"{STREAM}/{name}/cancel"),),
    ("GET", "/api/v1/conversations"): (lambda who, name: who.send("GET", "/api/v1/conversations", {"q": name}),),
    ("PATCH", "/api/v1/conversations/{conversation_id}"): (
        lambda who, name: who.send("PATCH", f"/api/v1/conversations/{name}", {"title": "Theirs"}),
    ),
    ("DELETE", "/api/v1/conversations/{conversation_id}"): (
        lambda who, name: who.send("DELETE", f"/api/v1/conversations/{name}"),
    ),
}
"""How each route may name a stream or a conversation."""

NOBODYS = {
    ("POST", "/api/v1/anon_session"),
    ("GET", "/api/v1/models"),
    ("GET", "/api/v1/usage"),
    ("POST", "/api/v1/telemetry"),
    ("GET", "/api/templates"),
    ("POST", "/api/render"),
}
"""The routes that name nothing of anyone else's."""

ELSEWHERE = {("POST", "/api/triage"), ("GET", "/api/triage/{artifact_id}")}
"""The routes that are asked by everyone in ``test_triage``."""

ROLES = ("owner", "session", "key", "other key", "staff")


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite) -> Iterator[dict[str, Who]]:
    """Two sessions, two keys that name the same user, a member of staff, and nobody; on a server as it is shipped."""
    url = sqlite.new()
    with running(tmp_path_factory, url, STREAM_OPEN_ACCESS="0") as server:
        place = Place(server, url)
        made = place.manage("shell", "-v", "0", "-c", MAKE_KEYS_AND_STAFF.format(password=Place.PASSWORD))
        keys = made.stdout.split()
        assert len(keys) == 2, made.stderr
        yield {
            "owner": Who(session(server)[0], None),
            "session": Who(session(server)[0], None),
            "key": Who(place.holder(keys[0]), "same"),
            "other key": Who(place.holder(keys[1]), "same"),
            "staff": Who(place.log_in("staff"), None),
            "nobody": Who(client(server), None),
        }


def told(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that an answer tells."""
    headers = [(name.lower(), value) for name, value in answer.headers if name.lower() != "date"]
    return answer.status, sorted(headers), answer.body


def test_every_route_is_listed(cast: dict[str, Who]) -> None:
    described = cast["nobody"].send("GET", "/api/openapi.json").json["paths"]
    routes = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert routes == OWNED.keys() | NOBODYS | ELSEWHERE


@pytest.mark.parametrize("route", OWNED, ids=" ".join)
def test_what_is_someone_elses_answers_as_what_does_not_exist(cast: dict[str, Who], route: tuple[str, str]) -> None:
    theirs = {role: cast[role].own() for role in ROLES}
    before = {role: kept(cast[role], name) for role, name in theirs.items()}
    for ask in OWNED[route]:
        for asking in ROLES:
            unknown = told(ask(cast[asking], fresh("known")))
            for role in ROLES:
                if role != asking:
                    assert told(ask(cast[asking], theirs[role])) == unknown, (asking, role)
        refused = told(ask(cast["nobody"], fresh("known")))
        assert refused[0] == 401
        assert all(told(ask(cast["nobody"], name)) == refused for name in theirs.values())
    assert {role: kept(cast[role], name) for role, name in theirs.items()} == before
    for role, name in theirs.items():
        for ask in OWNED[route]:
            answer = ask(cast[role], name)
            assert answer.status in {200, 201, 204}, (role, answer.body)


def kept(who: Who, name: str) -> tuple[bytes, bytes]:
    """What an owner sees of their own."""
    found = who.send("GET", "/api/v1/conversations", {"q": name})
    return who.send("GET", f"/api/v1/streams/{name}").body, found.body
