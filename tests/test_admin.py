"""Admin: what happened can be looked at, and not changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.databases import manage
from tests.frames import read_all
from tests.servers import Server


@pytest.fixture
def admin(sqlite_url: str, serve: Callable[..., Server]) -> Iterator[tuple[Server, httpx.Client]]:
    """A server with two streams, and a client that is logged in as a superuser."""
    manage(
        sqlite_url, "createsuperuser", "--noinput", "--username=admin", "--email=", DJANGO_SUPERUSER_PASSWORD="secret"
    )
    server = serve(sqlite_url)
    read_all(server.url, user_id="u1", stream_id="counted", message="/count 250 0")
    read_all(server.url, user_id="u1", stream_id="failed", message="/fail after 2 chunks")
    with httpx.Client(base_url=server.url, follow_redirects=True, trust_env=False, timeout=30) as client:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get("/admin/login/").text)
        assert token
        login = {"username": "admin", "password": "secret", "csrfmiddlewaretoken": token[1], "next": "/admin/"}
        assert "Streaming" in client.post("/admin/login/", data=login, headers={"Referer": server.url}).text
        yield server, client


def _link(client: httpx.Client, kind: str, name: str) -> str:
    page = client.get(f"/admin/streaming/{kind}/").text
    link = re.search(rf'href="(/admin/streaming/{kind}/[^"/]+/change/)[^"]*">{name}', page)
    assert link, page
    return link[1]


def test_streams_their_events_costs_and_processes_can_be_looked_at(admin: tuple[Server, httpx.Client]) -> None:
    _, client = admin
    page = client.get("/admin/streaming/stream/").text
    assert "0.00015045" in page, "250 tokens out, 3 in"
    detail = client.get(_link(client, "stream", "counted")).text
    assert "/count 250 0" in detail and "open: u1" in detail
    timeline = re.search(r'href="([^"]+/events/)"', detail)
    assert timeline
    first, second = client.get(timeline[1]).text, client.get(timeline[1] + "?p=2").text
    assert "251 events" in first and "<td>0</td>" in first and "<td>250</td>" in second and "done" in second
    cost = client.get(_link(client, "costrecord", "counted")).text
    assert "0.00015045" in cost and "0.15" in cost and "provider" in cost
    assert "icon-yes.svg" in client.get("/admin/streaming/process/").text, "the process is alive"


def test_nothing_of_it_can_be_changed(admin: tuple[Server, httpx.Client]) -> None:
    _, client = admin
    link = _link(client, "stream", "counted")
    assert 'name="_save"' not in client.get(link).text
    token = client.cookies["csrftoken"]
    for action in (link, link.replace("change", "delete"), "/admin/streaming/stream/add/"):
        answer = client.post(action, data={"csrfmiddlewaretoken": token, "post": "yes"})
        assert answer.status_code == 403, action


def test_an_api_key_is_shown_once_and_revoked_at_once(admin: tuple[Server, httpx.Client]) -> None:
    server, client = admin
    values = {"name": "robot", "scopes": ["read", "stream"], "expires_at_0": "", "expires_at_1": ""}
    form = {**values, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    page = client.post("/admin/streaming/apikey/add/", data=form, headers={"Referer": server.url}).text
    shown = re.search(r"mgk_[A-Za-z0-9_-]{43}", page)
    assert shown, page
    key, digest = shown[0], hashlib.sha256(shown[0].encode()).hexdigest()
    holder = {"Authorization": f"Bearer {key}"}
    path = f"{server.url}/api/v1/streams?user_id=u1"
    assert httpx.get(path, headers=holder, trust_env=False).status_code == 200
    link = _link(client, "apikey", "robot")
    pages = [client.get(each).text for each in ("/admin/streaming/apikey/", link, link.replace("change", "history"))]
    pages.append(client.get("/admin/").text)
    for page in pages:
        assert key not in page and digest not in page
    assert key[:10] in pages[0] and "read stream" in pages[0]
    assert 'name="_save"' not in pages[1]
    assert client.post(link.replace("change", "delete"), data={"post": "yes", **form}).status_code == 403
    chosen = {"action": "revoke", "_selected_action": link.split("/")[4], **form}
    assert "Revoked: 1." in client.post("/admin/streaming/apikey/", data=chosen).text
    assert httpx.get(path, headers=holder, trust_env=False).status_code == 401
    assert "mgk_" not in server.log_text()


def test_strangers_see_no_admin(admin: tuple[Server, httpx.Client]) -> None:
    server, client = admin
    timeline = _link(client, "stream", "counted").replace("change", "events")
    for path in ("/admin/streaming/stream/", timeline):
        answer = httpx.get(server.url + path, trust_env=False)
        assert answer.status_code == 302 and "/admin/login/" in answer.headers["Location"]
