"""The Network lab: anyone may break the connection, and sees that the text stays exact."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests import databases
from tests.browser.acting import ask, counted, text_of, wait_for
from tests.servers import Server


@pytest.fixture(scope="module")
def server(sqlite: databases.SQLite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of these: none does it harm."""
    server = Server(sqlite.new(), tmp_path_factory.mktemp("lab"))
    try:
        yield server.start()
    finally:
        server.kill()


def figure(page: Page, name: str) -> str:
    return page.locator(f'[data-figure="{name}"]').inner_text()


def test_whatever_is_broken_on_purpose_the_text_is_that_of_the_server(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/magic")
    page.get_by_role("button", name="Network lab").click()
    for slider in ("Repeat", "Reorder"):
        page.get_by_label(slider).fill("50")
    ask(page, "/count 60 8")
    page.locator(".text", has_text="1 2 3").wait_for()
    page.get_by_role("button", name="Cut the wire").click()
    page.get_by_text("The connection is lost after event").wait_for()
    wait_for(page, "done")
    assert text_of(page) == counted(1, 60)
    proof = page.locator(".lab-proof")
    expect(proof).to_contain_text(f"Identical: all {len(counted(1, 60))} characters.")
    assert proof.inner_text().count(hashlib.sha256(counted(1, 60).encode()).hexdigest()) == 2
    assert (figure(page, "missing"), figure(page, "last")) == ("0", "60")
    assert int(figure(page, "reconnects")) >= 1
    assert int(figure(page, "duplicates")) > 0
    page.get_by_role("button", name="Close the Network lab").click()
    expect(page.get_by_role("button", name="Network lab", exact=True)).to_have_attribute("aria-expanded", "false")
    assert page.locator('.lab-cells [data-state="missing"], .lab-cells [data-state="waiting"]').count() == 0


def test_the_first_visit_offers_to_cut_the_wire_and_shows_that_nothing_is_lost(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/magic")
    page.get_by_role("button", name="Watch an answer survive").click()
    cut = page.get_by_role("button", name="Cut the wire")
    expect(cut).to_have_class(re.compile("offered"))
    cut.click()
    expect(page.get_by_role("status").first).to_contain_text("Connection lost")
    expect(page.get_by_role("status").first).to_contain_text("Connected again")
    expect(cut).not_to_have_class(re.compile("offered"))
    shown = text_of(page).strip()
    assert shown == counted(1, shown.count(" ") + 1).strip()
    expect(page.locator("#facts")).to_contain_text(re.compile("[1-9] reconnect"))
    expect(page.locator("#lab")).to_be_hidden()
    page.keyboard.press("Escape")
    wait_for(page, "cancelled")
