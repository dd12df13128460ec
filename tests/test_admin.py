"""Admin: what happened can be looked at, and not changed; streams are stopped, exported and forgotten."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest

from tests import databases
from tests.databases import manage
from tests.frames import connect, read_all
from tests.servers import Server


@pytest.fixture(scope="module")
def url(sqlite: databases.SQLite) -> str:
    """The database of ``admin``."""
    return sqlite.new()


@pytest.fixture(scope="module")
def admin(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, httpx.Client]]:
    """A server with two streams, and a client that is logged in as a superuser; for all tests of this file."""
    manage(url, "createsuperuser", "--noinput", "--username=admin", "--email=", DJANGO_SUPERUSER_PASSWORD="secret")
    server = Server(url, tmp_path_factory.mktemp("admin"))
    try:
        server.start()
        read_all(server.url, user_id="u1", stream_id="counted", message="/count 250 0")
        read_all(server.url, user_id="u1", stream_id="failed", message="/fail after 2 chunks")
        with logged_in(server, "admin") as client:
            assert "Streaming" in client.get("/admin/").text
            yield server, client
    finally:
        server.kill()


@contextmanager
def logged_in(server: Server, name: str) -> Iterator[httpx.Client]:
    """A client that has logged in by Django's own page."""
    with httpx.Client(base_url=server.url, follow_redirects=True, trust_env=False, timeout=30) as client:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get("/admin/login/").text)
        assert token
        login = {"username": name, "password": "secret", "csrfmiddlewaretoken": token[1], "next": "/admin/"}
        assert client.post("/admin/login/", data=login, headers={"Referer": server.url}).status_code == 200
        yield client


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
    assert httpx.get(path, headers=holder, timeout=30, trust_env=False).status_code == 200
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
    assert httpx.get(path, headers=holder, timeout=30, trust_env=False).status_code == 401
    assert "mgk_" not in server.log_text()


def test_strangers_see_no_admin(admin: tuple[Server, httpx.Client]) -> None:
    server, client = admin
    timeline = _link(client, "stream", "counted").replace("change", "events")
    for path in ("/admin/streaming/stream/", timeline):
        answer = httpx.get(server.url + path, timeout=30, trust_env=False)
        assert answer.status_code == 302 and "/admin/login/" in answer.headers["Location"]


def _post(client: httpx.Client, path: str, data: Mapping[str, object]) -> httpx.Response:
    form = {**data, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    return client.post(path, data=form, headers={"Referer": str(client.base_url)})


def test_a_live_stream_is_shown_with_its_viewers_and_stopped(admin: tuple[Server, httpx.Client]) -> None:
    server, client = admin
    with connect(server.url, user_id="u1", stream_id="endless", message="/count 10000 20") as (_, frames):
        for frame in frames:
            if frame.event_id == 5:
                break
        wait_for(lambda: "<strong>1</strong> viewer" in client.get("/admin/streaming/stream/live/").text)
        wait_for(lambda: 10 < _speed(client.get("/admin/streaming/stream/live/").text) < 30)
        page = client.get("/admin/streaming/stream/live/").text
        assert "endless" in page and "open: u1" in page and "<strong>1</strong> process" in page
        key = re.search(r'name="stream" value="(\d+)"', page)
        assert key
        assert "Asked to stop: 1" in _post(client, "/admin/streaming/stream/live/", {"stream": key[1]}).text
        assert list(frames)[-1].data["finish_reason"] == "cancelled"
    assert "Nothing is live" in client.get("/admin/streaming/stream/live/").text


def _speed(page: str) -> float:
    shown = re.search(r'<td class="number">([0-9.]+)</td>\s*<td class="number">', page)
    assert shown, page
    return float(shown[1])


def test_numbers_are_exported_without_text_and_without_formulas(admin: tuple[Server, httpx.Client]) -> None:
    server, client = admin
    read_all(server.url, user_id="-1.1", stream_id="formula", message="/echo secret")
    read_all(server.url, user_id="u1", stream_id="counted", last_event_id=100)
    wait_for(lambda: ">1</td>" in client.get("/admin/streaming/stream/?q=counted").text)
    keys = re.findall(r'name="_selected_action" value="(\d+)"', client.get("/admin/streaming/stream/").text)
    answer = _post(client, "/admin/streaming/stream/", {"action": "export", "_selected_action": keys})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = {row["stream_id"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert {"counted", "failed", "formula"} <= set(rows)
    assert rows["formula"]["user_id"] == "'-1.1" and "secret" not in answer.text
    assert rows["counted"]["total_cost_usd"] == "0.00015045" and rows["counted"]["cost_state"] == "provider"
    assert rows["counted"]["resumes"] == "1" and rows["failed"]["error_type"] == "provider_error"


def test_a_text_is_forgotten_after_a_second_question_and_the_numbers_stay(admin: tuple[Server, httpx.Client]) -> None:
    server, client = admin
    read_all(server.url, user_id="u1", stream_id="private", message="/count 250 0")
    link = _link(client, "stream", "private")
    chosen = {"action": "forget", "_selected_action": link.split("/")[4]}
    asked = _post(client, "/admin/streaming/stream/", chosen).text
    assert "1 ended stream " in asked and "/count 250 0" in client.get(link).text
    assert "Forgotten: the text of 1." in _post(client, "/admin/streaming/stream/", {**chosen, "confirmed": "1"}).text
    page = client.get(link).text
    assert "/count 250 0" not in page and "0.00015045" in page
    assert server.get("/api/v1/stream", user_id="u1", stream_id="private").status_code == 410


def test_costs_are_divided_and_reconciled(admin: tuple[Server, httpx.Client]) -> None:
    _, client = admin
    page = client.get("/admin/streaming/stream/costs/?days=1").text
    assert "<strong>0.00</strong> USD difference" in page and "by the providers" in page
    assert page.count("<rect") > 5 and " style=" not in page
    for name in ("demo", "open", "u1 (open)"):
        assert f"<td>{name}</td>" in page


def test_costs_are_divided_by_template_and_streams_filtered_by_it(admin: tuple[Server, httpx.Client]) -> None:
    server, client = admin
    read_all(server.url, user_id="u2", stream_id="templated", message="/count 500 0", template="summary@3")
    mail = {"user_id": "u2", "content": "The app crashes.", "artifact_id": "judged"}
    assert httpx.post(f"{server.url}/api/triage", json=mail, trust_env=False, timeout=30).status_code == 200
    page = client.get("/admin/streaming/stream/costs/?days=1").text
    rows = dict(re.findall(r"<td>([a-z0-9@ ]+)</td>\s*<td class=\"number\">(\d+)</td>", page.split(">Template<")[1]))
    assert rows["summary@3"] == rows["triage"] == "1" and int(rows["no template"]) >= 2
    listed = client.get("/admin/streaming/stream/?template=summary%403").text
    assert "templated" in listed and "counted" not in listed
    keys = re.findall(r'name="_selected_action" value="(\d+)"', listed)
    exported = _post(client, "/admin/streaming/stream/", {"action": "export", "_selected_action": keys})
    assert next(csv.DictReader(io.StringIO(exported.text)))["template"] == "summary@3"


def test_who_may_look_at_numbers_may_not_read_texts(url: str, admin: tuple[Server, httpx.Client]) -> None:
    server, client = admin
    link = _link(client, "stream", "counted")
    grant = (
        "from django.contrib.auth.models import User, Permission;"
        "u = User.objects.create_user('clerk', password='secret', is_staff=True);"
        "u.user_permissions.set(Permission.objects.filter(codename='view_stream'))"
    )
    manage(url, "shell", "--verbosity=0", "-c", grant)
    with logged_in(server, "clerk") as clerk:
        page = clerk.get(link).text
        assert "0.00015045" in page and "/count 250 0" not in page and "250 249" not in page
        timeline = clerk.get(link.replace("change", "events")).text
        assert "message_chunk" in timeline and "content" not in timeline.split("<tbody>")[1].split("</tbody>")[0]
        assert clerk.get("/admin/streaming/stream/costs/").status_code == 403
        assert 'name="stream"' not in clerk.get("/admin/streaming/stream/live/").text
        assert _post(clerk, "/admin/streaming/stream/live/", {"stream": "1"}).status_code == 403
        assert "Export" not in clerk.get("/admin/streaming/stream/").text


def test_lists_are_searched_and_filtered(admin: tuple[Server, httpx.Client]) -> None:
    _, client = admin

    def found(query: str) -> set[str]:
        page = client.get(f"/admin/streaming/stream/?{query}").text
        return set(re.findall(r"/change/[^>]*>([a-z0-9]+)</a>", page))

    both = {"counted", "failed"}
    assert found("q=coun") == {"counted"} and both <= found("q=u1") and found("q=u") == set()
    assert found("status__exact=error") == {"failed"} and found("error_type=provider_error") == {"failed"}
    assert both <= found("model=demo") and found("model=nope") == set()
    year = time.gmtime().tm_year
    assert both <= found(f"started={year}") and found(f"started={year - 1}") == set()
    assert both <= found("started=2026-02-30"), "no such day is no filter"
    assert f"started={year}-" in client.get(f"/admin/streaming/stream/?started={year}").text


def test_every_page_of_the_admin_holds_to_a_strict_policy(admin: tuple[Server, httpx.Client]) -> None:
    _, client = admin
    for path in ("/admin/", "/admin/streaming/stream/", "/admin/streaming/stream/live/", "/admin/streaming/allowance/"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy and "style-src 'self'" in policy and "unsafe" not in policy
    assert "Content-Security-Policy" not in client.get("/health").headers
