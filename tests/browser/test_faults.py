"""Whole journeys over broken connections and broken servers: the page ends with the server's text, paid once."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests import databases
from tests.browser.chat import Chat, counted
from tests.browser.world import LONGER_THAN_ANY_BACKOFF_MS, World, running_world
from tests.faults.byte_proxy import ByteProxy

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def world(sqlite: databases.SQLite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_world(sqlite.new(), tmp_path_factory.mktemp("faults")) as world:
        yield world


@pytest.fixture
def proxy(world: World) -> Iterator[ByteProxy]:
    with ByteProxy(world.server.port) as proxy:
        yield proxy


def test_a_server_killed_in_the_middle_and_restarted_leaves_what_it_wrote_and_says_so(
    world: World, context: BrowserContext
) -> None:
    chat = Chat(context.new_page(), world.server.url).open()
    stream_id = chat.ask(world.question(1000, delay_ms=20))
    chat.wait_for_text("1 2 3")
    world.server.kill()
    chat.wait_until_told("Reconnecting (")
    shown = chat.text
    world.server.start()
    chat.wait_for_state("error")
    snapshot = chat.check(stream_id, world.upstream)
    assert snapshot["error_type"] == "interrupted"
    assert chat.text.startswith(shown)


def test_ten_resets_and_five_seconds_of_503_are_noticed_by_nobody_who_reads(
    world: World, context: BrowserContext, proxy: ByteProxy
) -> None:
    page = context.new_page()
    page.clock.install()
    chat = Chat(page, proxy.url).open()
    world.upstream.hold()
    stream_id = chat.ask(world.question(60, stall_after=40))
    chat.wait_for_text(counted(40))
    for _ in range(10):
        proxy.reset_all()
        chat.wait_until_told("Reconnecting (")
        page.clock.fast_forward(LONGER_THAN_ANY_BACKOFF_MS)
        chat.wait_until_told("Connected again")
    proxy.refuse(UNAVAILABLE)
    proxy.reset_all()
    while proxy.refused < 3:
        chat.wait_until_told("Reconnecting (")
        page.clock.fast_forward(LONGER_THAN_ANY_BACKOFF_MS)
    proxy.refuse(None)
    page.clock.fast_forward(LONGER_THAN_ANY_BACKOFF_MS)
    world.upstream.release()
    page.clock.fast_forward(LONGER_THAN_ANY_BACKOFF_MS)
    chat.wait_for_state("done")
    chat.check(stream_id, world.upstream)
    assert chat.text == counted(60)
    # One for each reset; how often it came while it was refused is a matter of when the page's clock was moved.
    assert page.locator(".facts", has_text=re.compile("1[1-9] reconnects")).count()


def test_a_reload_a_second_tab_and_a_stop_after_both(world: World, context: BrowserContext) -> None:
    world.upstream.hold()
    first = Chat(context.new_page(), world.server.url).open()
    stream_id = first.ask(world.question(1000, stall_after=30))
    first.wait_for_text("1 2 3")
    first.page.reload()
    first.wait_for_text(counted(30))
    second = Chat(context.new_page(), world.server.url).open()
    second.wait_for_text(counted(30))
    first.page.get_by_role("button", name="Stop").last.click()
    for chat in (first, second):
        chat.wait_for_state("cancelled")
        assert chat.check(stream_id, world.upstream)["finish_reason"] == "cancelled"
        assert chat.text == counted(30)
    assert world.upstream.wait_for(lambda calls: calls[-1].ended is not None)[-1].ended == "client_left"


def test_a_black_hole_is_noticed_after_30_seconds_and_what_was_missed_is_there(
    world: World, context: BrowserContext, proxy: ByteProxy
) -> None:
    page = context.new_page()
    page.clock.install()
    chat = Chat(page, proxy.url).open()
    world.upstream.hold()
    stream_id = chat.ask(world.question(60, stall_after=40))
    chat.wait_for_text(counted(40))
    proxy.stall()
    world.upstream.release()
    page.clock.fast_forward(31_000)
    chat.wait_until_told("Connection lost")
    proxy.go()
    chat.wait_until_told("Reconnecting (")
    page.clock.fast_forward(LONGER_THAN_ANY_BACKOFF_MS)
    assert chat.check(stream_id, world.upstream)["status"] == "done"
    assert chat.text == counted(60)
