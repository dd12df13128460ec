"""A real browser, where the machine has one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect, sync_playwright

from tests import databases
from tests.databases import skip
from tests.servers import Server

WAIT_MS = 20_000
expect.set_options(timeout=WAIT_MS)

NAMES = ("chromium", "chromium-browser", "google-chrome")


# Not for the session: Playwright leaves an event loop in this thread as long as it runs.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Headless Chromium."""
    with _launched(playwright) as browser:
        yield browser


@pytest.fixture
def remembering_browser(playwright: Playwright) -> Iterator[Browser]:
    """The same, with its back/forward cache."""
    with _launched(playwright, ignore_default_args=["--disable-back-forward-cache"]) as browser:
        yield browser


@contextmanager
def _launched(playwright: Playwright, **options: Any) -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        skip("no Chromium on this machine; install it (Debian: apt-get install chromium)")
    browser = playwright.chromium.launch(
        executable_path=path, args=["--no-sandbox", "--disable-background-networking"], **options
    )
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite) -> Iterator[Server]:
    """A server as it is shipped, that all tests share which do it no harm."""
    folder = tmp_path_factory.mktemp("server")
    server = Server(sqlite.new(), folder, STREAM_OPEN_ACCESS="0", DEMO_TOKENS_PER_SECOND="0")
    yield server.start()
    server.kill()


# What the browser itself tells of the connections that we cut, and of those that are refused.
TOLD_BY_THE_BROWSER = ("net::ERR_", "Failed to load resource", "EventSource's response has")


def _is_ours(line: ConsoleMessage) -> bool:
    """Whether a line tells of a mistake of the page's."""
    return line.type == "error" and not any(words in line.text for words in TOLD_BY_THE_BROWSER)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """The tabs of a visitor who was never here before. What their scripts throw fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(WAIT_MS)
    thrown: list[str] = []
    context.on("weberror", lambda error: thrown.append(str(error.error)))
    context.on("console", lambda line: thrown.append(line.text) if _is_ours(line) else None)
    yield context
    context.close()
    assert thrown == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """One such tab."""
    return context.new_page()
