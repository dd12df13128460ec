"""A real browser, where the machine has one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.databases import skip

NAMES = ("chromium", "chromium-browser", "google-chrome")


# Not for the session: Playwright leaves an event loop in this thread as long as it runs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        skip("no Chromium on this machine; install it (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


def _is_ours(line: ConsoleMessage) -> bool:
    """Whether a line tells of a mistake of the page's: the browser itself tells of the connections that we cut."""
    return line.type == "error" and "net::ERR_" not in line.text


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab of a visitor who was never here before. What its scripts throw fails the test."""
    context = browser.new_context()
    page = context.new_page()
    thrown: list[str] = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    page.on("console", lambda line: thrown.append(line.text) if _is_ours(line) else None)
    yield page
    context.close()
    assert thrown == []
