"""An answer that was cut off goes on: one answer on the page, whatever streams it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import databases
from tests.browser.acting import answered, ask, counted, fetched, source_of, visit, wait_for
from tests.servers import Server

MARKDOWN = """# Numbers

- one
- two

```python
a = 1
b = 2
c = 3
```

| x | y |
|---|---|
| 1 | 2 |

*the end*"""


@pytest.fixture
def mortal(sqlite: databases.SQLite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may be killed, and whose streams are closed soon after."""
    folder = tmp_path_factory.mktemp("server")
    server = Server(sqlite.new(), folder, STREAM_OPEN_ACCESS="0", STREAM_LEASE_SECONDS="3")
    yield server.start()
    server.kill()


def go_on(page: Page) -> None:
    page.get_by_role("button", name="Continue").click()


def streams(page: Page) -> list[dict[str, Any]]:
    """All of the visitor's, the oldest first."""
    found: list[dict[str, Any]] = fetched(page, "/api/v1/streams")["streams"]
    return found[::-1]


def shown_as_dollars(page: Page, cost: float) -> str:
    """An amount as the page writes it."""
    return str(page.evaluate("async (cost) => (await import('/static/magic/format.js')).dollars(cost)", cost))


def stopped_after(page: Page, words: str) -> None:
    """Stop the answer once it holds these words."""
    page.locator(".text", has_text=words).wait_for()
    page.keyboard.press("Escape")
    wait_for(page, "cancelled")


def is_counting(text: str) -> bool:
    return text == counted(1, len(text.split()))


def test_a_stopped_answer_goes_on_and_is_one_answer_also_after_a_reload(served: Server, page: Page) -> None:
    visit(served, page)
    ask(page, "/count 40 8")
    stopped_after(page, "4 5 6")
    go_on(page)
    stopped_after(page, "14 15 16")
    assert is_counting(source_of(page))
    go_on(page)
    wait_for(page, "done")
    expect(page.locator(".note")).to_be_hidden()
    assert source_of(page) == counted(1, 40)
    first, second, third = streams(page)
    assert [second["continues"], third["continues"]] == [first["stream_id"], second["stream_id"]]
    for _ in range(2):
        expect(page.locator(".answer")).to_have_count(1)
        expect(page.locator(".versions")).to_be_hidden()
        expect(page.locator(".history a")).to_have_text(["/count 40 8"])
        total = shown_as_dollars(page, sum(part["total_cost"] for part in (first, second, third)))
        expect(page.locator(".summary")).to_contain_text(f" · ~{total} · ")
        expect(page.locator("#totals")).to_contain_text(f"This chat ~{total}")
        page.reload()
        wait_for(page, "done")
        assert source_of(page) == counted(1, 40)
    answered(page, "/echo next")
    assert streams(page)[-1]["parent_id"] == third["stream_id"]
    page.reload()
    expect(page.locator(".question")).to_have_text(["/count 40 8", "/echo next"])
    page.locator(".answer").last.get_by_role("button", name="Regenerate").click()
    expect(page.locator(".answer").last.locator(".versions")).to_contain_text("2/2")
    assert streams(page)[-1]["parent_id"] == third["stream_id"]


def test_markdown_is_one_document_over_the_joins(served: Server, page: Page) -> None:
    visit(served, page)
    page.locator("#options-open").click()
    page.get_by_label("Most tokens").fill("9")
    page.get_by_role("button", name="Keep").click()
    ask(page, f"/echo {MARKDOWN}")
    wait_for(page, "done")
    while (shown := source_of(page)) != MARKDOWN:
        assert MARKDOWN.startswith(shown)
        expect(page.locator(".note")).to_contain_text("length limit")
        with page.expect_response(lambda response: response.request.method == "POST" and "stream" in response.url):
            go_on(page)
        wait_for(page, "done")
    assert len(streams(page)) > 3
    assert source_of(page) == MARKDOWN
    expect(page.locator(".code")).to_have_count(1)
    expect(page.locator(".text ul li")).to_have_text(["one", "two"])
    expect(page.locator(".text td")).to_have_text(["1", "2"])
    whole = page.locator(".text").inner_html()
    page.reload()
    wait_for(page, "done")
    assert page.locator(".text").inner_html() == whole


def test_an_answer_whose_server_was_killed_goes_on_with_the_next(mortal: Server, page: Page) -> None:
    visit(mortal, page)
    ask(page, "/count 60 10")
    page.locator(".text", has_text="4 5 6").wait_for()
    mortal.kill()
    mortal.start()
    wait_for(page, "error")
    expect(page.locator(".note")).to_contain_text("continue it")
    go_on(page)
    wait_for(page, "done")
    assert source_of(page) == counted(1, 60)
    page.reload()
    wait_for(page, "done")
    assert source_of(page) == counted(1, 60)


def test_a_second_tab_shows_what_goes_on_in_the_first(served: Server, page: Page) -> None:
    visit(served, page)
    ask(page, "/count 30 8")
    stopped_after(page, "2 3")
    second = page.context.new_page()
    visit(served, second)
    wait_for(second, "cancelled")
    go_on(page)
    wait_for(page, "done")
    wait_for(second, "done")
    assert source_of(page) == source_of(second) == counted(1, 30)


def test_a_continuation_that_is_refused_is_tried_again(served: Server, page: Page) -> None:
    visit(served, page)
    ask(page, "/count 30 8")
    stopped_after(page, "2 3")
    refusal = {"title": "Too many", "detail": "Too many streams.", "error_type": "too_many_streams"}
    page.route("**/api/v1/stream", lambda route: route.fulfill(status=400, json=refusal), times=1)
    go_on(page)
    wait_for(page, "error")
    expect(page.locator(".note")).to_contain_text("Too many streams.")
    page.get_by_role("button", name="Try again").click()
    wait_for(page, "done")
    assert source_of(page) == counted(1, 30)
    assert len(streams(page)) == 2
