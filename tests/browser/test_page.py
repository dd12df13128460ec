"""The page: type, watch, reload, resume, see the cost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.acting import ask, counted, text_of, visit, wait_for
from tests.browser.chat import is_a_start
from tests.servers import Server

Serve = Callable[..., Server]


@pytest.fixture
def server(sqlite_url: str, serve: Serve) -> Server:
    """A server that may be hurt."""
    return serve(sqlite_url, STREAM_LEASE_SECONDS="3")


def test_an_answer_arrives_with_its_cost(served: Server, page: Page) -> None:
    visit(served, page)
    ask(page, "/count 30 0")
    wait_for(page, "done")
    assert text_of(page) == counted(1, 30)
    expect(page.get_by_role("status")).to_contain_text("Finished: 30 words")
    facts = page.locator(".pill")
    for fact in ("3 in", "30 out", "$0.0000", "first token", "0 reconnects", "This chat", "Today"):
        expect(facts).to_contain_text(fact)
    expect(page.locator(".summary")).to_contain_text("demo")


def test_a_reload_in_the_middle_shows_the_answer_from_its_first_word_and_goes_on(served: Server, page: Page) -> None:
    visit(served, page)
    ask(page, "/count 80000 20")
    page.locator(".text", has_text="1 2 3").wait_for()
    starts: list[str] = []
    page.on("request", lambda request: starts.append(request.url) if is_a_start(request) else None)
    page.reload()
    page.locator(".text", has_text="1 2 3").wait_for()
    expect(page.locator("#facts")).to_contain_text("~$")
    shown = len(text_of(page).split())
    page.locator(".text", has_text=f" {shown + 1} ").wait_for()
    page.keyboard.press("Escape")
    wait_for(page, "cancelled")
    assert text_of(page) == counted(1, len(text_of(page).split()))
    assert starts == []


def test_an_answer_that_a_killed_server_was_writing_is_interrupted_and_kept(server: Server, page: Page) -> None:
    visit(server, page)
    ask(page, "/count 1000 20")
    page.locator(".text", has_text="1 2 3").wait_for()
    server.kill()
    expect(page.get_by_role("status")).to_contain_text("Reconnecting")
    shown = text_of(page)
    server.start()
    wait_for(page, "error")
    assert text_of(page).startswith(shown)
    expect(page.locator(".note")).to_contain_text("Interrupted")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".versions")).to_contain_text("2/2")
    wait_for(page, "writing")


def test_a_double_click_sends_once(served: Server, page: Page) -> None:
    started: list[Request] = []
    page.on("requestfinished", lambda request: started.append(request) if is_a_start(request) else None)
    visit(served, page)
    page.get_by_label("Message").fill("/count 3 0")
    page.get_by_role("button", name="Send").dblclick()
    wait_for(page, "done")
    expect(page.locator(".answer")).to_have_count(1)
    ids = {(request.post_data_json or {}).get("stream_id") for request in started}
    assert len(ids) == 1


def test_an_answer_is_text_and_never_markup(served: Server, page: Page) -> None:
    visit(served, page)
    markup = "<img src=x onerror=alert(1)><b>bold</b>"
    ask(page, f"/echo {markup}")
    wait_for(page, "done")
    assert text_of(page).strip() == markup
    assert page.locator(".answer img, .answer b").count() == 0


def test_an_empty_and_a_too_long_message_are_refused_in_words(served: Server, page: Page) -> None:
    visit(served, page)
    ask(page, "  ")
    expect(page.get_by_role("alert")).to_have_text("Write a message first.")
    ask(page, "x" * 32_005)
    expect(page.get_by_role("alert")).to_contain_text("Shorten it by 5.")
    expect(page.locator(".answer")).to_have_count(0)


def test_a_message_written_while_offline_is_sent_later_and_once(served: Server, page: Page) -> None:
    visit(served, page)
    page.context.set_offline(True)
    ask(page, "/count 5 0")
    expect(page.get_by_role("status")).to_contain_text("Sending again")
    page.context.set_offline(False)
    wait_for(page, "done")
    assert text_of(page) == counted(1, 5)
    expect(page.locator(".answer")).to_have_count(1)
