"""Admin: what happened can be looked at, and not changed."""

from __future__ import annotations

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


def test_strangers_see_no_admin(admin: tuple[Server, httpx.Client]) -> None:
    server, client = admin
    timeline = _link(client, "stream", "counted").replace("change", "events")
    for path in ("/admin/streaming/stream/", timeline):
        answer = httpx.get(server.url + path, trust_env=False)
        assert answer.status_code == 302 and "/admin/login/" in answer.headers["Location"]
