"""The admin in a window of 1280 pixels: nothing is missing, nothing has to be pushed aside."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from tests.databases import manage
from tests.frames import read_all
from tests.servers import Server

LONG = "anon_0123456789abcdef0123456789abcdef"


def test_the_list_of_streams_fits_and_all_that_it_asks_for_is_there(
    page: Page, sqlite_url: str, serve: Callable[..., Server]
) -> None:
    server = serve(sqlite_url, DEMO_TOKENS_PER_SECOND="0")
    read_all(server.url, user_id=LONG, stream_id=f"stream_{LONG}", message="/count 2500 0", template="summary@1")
    manage(
        sqlite_url, "createsuperuser", "--noinput", "--username=admin", "--email=", DJANGO_SUPERUSER_PASSWORD="secret"
    )
    missing: list[str] = []
    page.on("response", lambda answer: missing.append(answer.url) if answer.status >= 400 else None)
    page.goto(f"{server.url}/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Streams", exact=True).first.click()
    page.get_by_role("link", name="stream_anon").wait_for()
    widths = page.locator(".results").evaluate("list => [list.scrollWidth, list.clientWidth]")
    assert widths[0] <= widths[1]
    assert missing == []
    icon = page.locator("link[rel=icon]").get_attribute("href")
    assert icon and server.get(icon).status_code == 200, "without one the browser asks for /favicon.ico, in vain"
