"""Templates in the admin: looked at, previewed, changed, given up; never lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest

from tests.contract.wire import client
from tests.databases import SQLite, manage
from tests.servers import Server

LIST = "/admin/magic/prompttemplate/"
PREVIEW = f"{LIST}preview/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sqlite: SQLite) -> Iterator[Server]:
    url = sqlite.new()
    manage(url, "createsuperuser", "--noinput", "--username=admin", "--email=", DJANGO_SUPERUSER_PASSWORD="secret")
    started = Server(url, tmp_path_factory.mktemp("server"))
    yield started.start()
    started.kill()


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    """A superuser's browser."""
    with httpx.Client(base_url=server.url, follow_redirects=True, trust_env=False, timeout=60) as browser:
        browser.headers["Referer"] = server.url
        login = {"username": "admin", "password": "secret", "csrfmiddlewaretoken": token(browser, "/admin/login/")}
        assert "Prompt templates" in browser.post("/admin/login/?next=/admin/", data=login).text
        yield browser


def token(browser: httpx.Client, path: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(path).text)
    assert found
    return found[1]


def link(browser: httpx.Client, name: str) -> str:
    found = re.search(rf'href="({LIST}\d+/change/)[^"]*">{name}<', browser.get(LIST).text)
    assert found
    return found[1]


class Form:
    """The change form of one template, as a browser fills it in."""

    def __init__(self, browser: httpx.Client, path: str) -> None:
        self.browser, self.path = browser, path
        page = browser.get(path).text
        self.values: dict[str, Any] = {"enabled": "on", "values": ""}
        for attributes, text in re.findall(r"<textarea([^>]*)>\n?(.*?)</textarea>", page, re.DOTALL):
            named = re.search(r'name="([^"]+)"', attributes)
            assert named
            self.values[named[1]] = unescape(text)
        for attributes in re.findall(r"<input ([^>]*)>", page):
            named, valued = re.search(r'name="([^"]+)"', attributes), re.search(r'value="([^"]*)"', attributes)
            if named and valued and 'type="submit"' not in attributes and 'type="checkbox"' not in attributes:
                self.values[named[1]] = unescape(valued[1])

    def save(self, **changes: Any) -> str:
        return self.browser.post(self.path, data={**self.values, **changes, "_continue": "1"}).text

    def preview(self, **changes: Any) -> str:
        answer = self.browser.post(PREVIEW, data={**self.values, **changes})
        assert answer.status_code == 200
        return answer.text


def body_of(server: Server, inputs: dict[str, Any], name: str = "summary") -> Any:
    answer = client(server).post({"template_name": name, "inputs": inputs}, path="/api/render")
    return answer.json.get("rendered", answer.json)


def test_a_preview_shows_the_form_and_saves_nothing(server: Server, admin: httpx.Client) -> None:
    form = Form(admin, link(admin, "summary"))
    before = body_of(server, {"text": "x"})
    page = form.preview(body="# Big\n\n{{ text }} and {{ max_words }}", values="max_words: 77\ntext: <b>bold</b>")
    assert "<h1>Big</h1>" in page and "&lt;b&gt;bold&lt;/b&gt; and 77" in page and "<b>bold" not in page
    assert body_of(server, {"text": "x"}) == before


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"body": "{% if %}"}, "line 1"),
        ({"body": "{{ txet }}"}, "no input is called txet"),
        ({"body": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"}, "takes too long"),
        ({"body": "{{ text.__class__ }}"}, "unsafe"),
        ({"inputs": "- id: [", "body": "x"}, "is not YAML"),
        ({"inputs": "- {id: text, label: T, type: colour}", "body": "x"}, "type"),
        ({"triage": "fill: {missing: content}"}, "missing is no input"),
        ({"values": "max_words: many"}, "max_words: must be a whole number"),
        ({"values": "- 1"}, "is not a mapping"),
        ({"title": ""}, "required"),
    ],
)
def test_a_preview_says_what_is_wrong(admin: httpx.Client, changes: dict[str, str], says: str) -> None:
    page = Form(admin, link(admin, "summary")).preview(**changes)
    assert 'class="errorlist"' in page and says in unescape(page)


def test_a_change_is_a_new_version_that_is_used_at_once(server: Server, admin: httpx.Client) -> None:
    path = link(admin, "brainstorm")
    form = Form(admin, path)
    assert "was changed successfully" in form.save(body="Think about {{ problem }}.")
    assert body_of(server, {"problem": "rain"}, "brainstorm") == "Think about rain."
    [shown] = [t for t in client(server).get("/api/templates").json["templates"] if t["name"] == "brainstorm"]
    assert shown["version"] == 2 and len(shown["inputs"]) == 6, "the inputs went through the form unharmed"
    assert "edited in the admin" in admin.get(path).text and ">changed<" in admin.get(LIST).text
    Form(admin, path).save()
    assert "version 3" not in admin.get(path).text, "what is saved unchanged is no new version"
    proof = form.values["csrfmiddlewaretoken"]
    chosen = {"action": "take_shipped", "_selected_action": path.split("/")[4], "csrfmiddlewaretoken": proof}
    assert "Now as shipped: 1 of 1" in admin.post(LIST, data=chosen).text
    assert "Find ideas for this" in body_of(server, {"problem": "rain"}, "brainstorm")


def test_what_is_wrong_is_not_saved(server: Server, admin: httpx.Client) -> None:
    page = Form(admin, link(admin, "summary")).save(body="{{ nobody }}")
    assert "no input is called nobody" in page
    assert "Summarise" in body_of(server, {"text": "x"})


def test_one_can_be_made_disabled_and_deleted_and_a_shipped_one_not_deleted(
    server: Server, admin: httpx.Client
) -> None:
    form = Form(admin, f"{LIST}add/")
    made = form.save(
        name="haiku", title="Haiku", description="A haiku.", body="A haiku on {{ subject }}.",
        inputs="- {id: subject, label: On, type: string, required: true}",
    )  # fmt: skip
    assert "was added successfully" in made, re.findall(r'<ul class="errorlist.*?</ul>', made, re.DOTALL)
    assert body_of(server, {"subject": "rain"}, "haiku") == "A haiku on rain."
    path = link(admin, "haiku")
    own = Form(admin, path)
    del own.values["enabled"]
    own.save()
    assert body_of(server, {"subject": "rain"}, "haiku")["status"] == 404
    confirmed = {"csrfmiddlewaretoken": own.values["csrfmiddlewaretoken"], "post": "yes"}
    assert "was deleted successfully" in admin.post(path.replace("change", "delete"), data=confirmed).text
    refused = admin.post(link(admin, "summary").replace("change", "delete"), data=confirmed)
    assert refused.status_code == 403
    assert "delete_selected" not in admin.get(LIST).text


def test_strangers_preview_nothing(server: Server) -> None:
    for method in ("GET", "POST"):
        answer = httpx.request(method, server.url + PREVIEW, timeout=30, trust_env=False)
        assert answer.status_code in {302, 403}


def test_results_of_triage_are_shown_with_their_call_and_cannot_be_changed(server: Server, admin: httpx.Client) -> None:
    values = {"user_id": "u1", "artifact_id": "shown", "content": "Please refund <b>me</b>.", "subject": "Invoice"}
    assert client(server).post(values, path="/api/triage").status == 200
    page = admin.get("/admin/magic/triageresult/").text
    assert "billing" in page and "open: u1" in page
    found = re.search(r'href="(/admin/magic/triageresult/\d+/change/)[^"]*">shown<', page)
    assert found
    detail = admin.get(found[1]).text
    assert "Please refund &lt;b&gt;me&lt;/b&gt;." in detail and "billing_answer" in detail
    assert re.search(r'href="/admin/streaming/stream/\d+/change/">shown<', detail)
    assert 'name="_save"' not in detail
