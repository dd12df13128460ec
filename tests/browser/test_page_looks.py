"""The page for everyone: screen readers, keyboards, phones, large type, dark and light."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.acting import answered, ask, visit, wait_for
from tests.databases import skip
from tests.servers import ROOT, Server

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def axe(page: Page) -> Iterator[Any]:
    """Asks axe-core what is wrong with the page as it is now."""
    if not AXE.is_file():
        skip("axe-core is not installed; `npm ci` does")
    source = Path(AXE).read_text()

    def violations() -> list[str]:
        page.evaluate(source)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]

    yield violations


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(served: Server, page: Page, axe: Any, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    visit(served, page)
    expect(page.locator(".examples button").first).to_be_visible()
    assert axe() == []
    answered(page, "/markdown")
    page.locator(".text .code-keyword").first.wait_for()
    assert axe() == []
    page.locator(".tools").get_by_role("button", name="Regenerate").click()
    expect(page.locator(".versions")).to_contain_text("2/2")
    wait_for(page, "done")
    answered(page, "/fail after 3 chunks", "error")
    page.locator(".history li").hover()
    assert axe() == []
    page.get_by_role("button", name="System prompt").click()
    assert axe() == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keyboard shortcuts").click()
    assert axe() == []


@pytest.mark.parametrize("width", [320, 390, 640])
def test_nothing_is_wider_than_a_phone_or_a_page_at_twice_its_size(served: Server, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    visit(served, page)
    assert page.evaluate(OVERFLOW) <= 0
    answered(page, "/markdown")
    assert page.evaluate(OVERFLOW) <= 0
    page.get_by_role("button", name="History").click()
    expect(page.get_by_label("Search the history")).to_be_visible()
    assert page.evaluate(OVERFLOW) <= 0
    page.keyboard.press("Escape")
    expect(page.get_by_label("Search the history")).to_be_hidden()


def test_the_transcript_is_not_read_out_and_the_status_says_what_happens(served: Server, page: Page) -> None:
    visit(served, page)
    log = page.get_by_role("log")
    expect(log).to_have_attribute("aria-live", "off")
    ask(page, "/count 40 8")
    expect(page.get_by_role("status")).to_have_text("Writing…")
    expect(page.locator(".text")).to_have_attribute("aria-busy", "true")
    wait_for(page, "done")
    expect(page.locator(".text")).to_have_attribute("aria-busy", "false")
    expect(page.get_by_role("status")).to_contain_text("Finished: 40 words")


def test_all_is_done_by_keyboard_alone(served: Server, page: Page) -> None:
    visit(served, page)
    expect(page.get_by_label("Message")).to_be_focused()
    page.keyboard.type("/echo typed")
    page.keyboard.press("Enter")
    wait_for(page, "done")
    expect(page.get_by_label("Message")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Edit")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Search the history")).to_be_focused()
    page.keyboard.press("Control+Shift+O")
    expect(page.get_by_label("Message")).to_be_focused()
    expect(page.locator(".empty")).to_be_visible()


def test_the_colours_are_chosen_and_kept(served: Server, page: Page) -> None:
    visit(served, page)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Colours").click()
    page.get_by_role("button", name="Colours").click()
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    assert page.evaluate(paper) == dark


def test_less_motion_is_none(served: Server, page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    visit(served, page)
    ask(page, "/count 600 20")
    wait_for(page, "writing")
    assert page.evaluate("document.getAnimations().length") == 0


def test_a_phone_has_the_history_over_the_page(served: Server, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = context.new_page()
    visit(served, page)
    answered(page, "/echo one")
    page.get_by_role("button", name="History").tap()
    page.get_by_role("button", name="New chat").tap()
    expect(page.locator(".side")).to_be_hidden()
    expect(page.locator(".empty")).to_be_visible()
    page.get_by_role("button", name="History").tap()
    page.get_by_role("link", name="/echo one").tap()
    expect(page.locator(".question")).to_have_text("/echo one")
    expect(page.locator(".side")).to_be_hidden()
    context.close()
