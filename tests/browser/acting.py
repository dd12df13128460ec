"""What a visitor does on the page, and sees of it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.servers import Server

WAIT_MS = 20_000


def visit(server: Server, page: Page, fragment: str = "") -> None:
    """Open the page, and wait until it is ready to be used."""
    page.goto(f"{server.url}/magic{fragment}")
    page.get_by_text("nobody is charged").wait_for(state="attached")


def ask(page: Page, message: str) -> None:
    """Send a message."""
    page.get_by_label("Message").fill(message)
    page.get_by_label("Message").press("Enter")


def answered(page: Page, message: str, state: str = "done") -> None:
    """Send a message, and wait for the end of its answer."""
    before = page.locator(".answer").count()
    ask(page, message)
    expect(page.locator(".answer")).to_have_count(before + 1)
    wait_for(page, state)


def wait_for(page: Page, state: str) -> None:
    """Wait for a state of the answer at the end."""
    page.locator(f'.answer:last-child[data-state="{state}"]').wait_for(timeout=WAIT_MS)


def text_of(page: Page) -> str:
    """The text of the answer at the end, as the reader sees it."""
    return page.locator(".text").last.text_content() or ""


def source_of(page: Page) -> str:
    """The text of the answer at the end, as the server has it."""
    return str(
        page.locator(".answer").last.evaluate(
            "async (answer) => (await import('/static/magic/answer_view.js')).textOf(answer)"
        )
    )


def fetched(page: Page, path: str) -> Any:
    """What the API answers to this visitor."""
    return page.evaluate("async (path) => (await fetch(path)).json()", path)


def counted(first: int, last: int) -> str:
    """What the demo model says when it counts."""
    return "".join(f"{n} " for n in range(first, last + 1))
