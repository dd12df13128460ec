"""The example: the client in a page of twenty lines that uses nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.chat import counted, words
from tests.faults.byte_proxy import ByteProxy
from tests.servers import ROOT, Server

STATIC = Path("static/magic")


def test_the_example_asks_and_survives_a_reset(sqlite_url: str, serve: Callable[..., Server], page: Page) -> None:
    server = serve(sqlite_url, STREAM_OPEN_ACCESS="0")
    with ByteProxy(server.port) as proxy:
        page.goto(f"{proxy.url}/static/magic/example.html")
        page.get_by_label("Message").fill("/count 50 10")
        page.get_by_role("button").click()
        page.locator("#answer", has_text="1 2 3").wait_for()
        proxy.reset_all()
        expect(page.get_by_role("status")).to_contain_text("Reconnecting (1)", timeout=30_000)
        expect(page.get_by_role("status")).to_contain_text("Done", timeout=30_000)
        assert words(page.locator("#answer").text_content() or "") == counted(50)


def test_the_documentation_names_every_file_that_the_client_needs() -> None:
    needed = {"connection.js"}
    waiting = ["connection.js"]
    while waiting:
        source = (ROOT / STATIC / waiting.pop()).read_text()
        found = set(re.findall(r'^import .* from "\./(.+)";$', source, re.MULTILINE))
        waiting += found - needed
        needed |= found
    files = (ROOT / "docs/CLIENT.md").read_text().partition("## Files")[2]
    assert set(re.findall(r"`(\w+\.js)`", files)) == needed
