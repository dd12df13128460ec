"""The full matrix of journeys: minutes, many tabs, many seeds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests import databases
from tests.browser.chat import Chat, counted
from tests.browser.world import World, running_world
from tests.faults.byte_proxy import ByteProxy
from tests.faults.frame_proxy import FrameFaults, FrameProxy

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

PLACES = 4


@pytest.fixture(scope="module")
def world(sqlite: databases.SQLite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_world(sqlite.new(), tmp_path_factory.mktemp("matrix")) as world:
        yield world


@pytest.fixture
def proxy(world: World) -> Iterator[ByteProxy]:
    with ByteProxy(world.server.port) as proxy:
        yield proxy


def test_a_black_hole_of_35_seconds(world: World, context: BrowserContext, proxy: ByteProxy) -> None:
    chat = Chat(context.new_page(), proxy.url).open()
    stream_id = chat.ask(world.question(300, delay_ms=50))
    chat.wait_for_text("1 2 3")
    proxy.stall()
    chat.page.wait_for_timeout(35_000)
    proxy.go()
    assert chat.check(stream_id, world.upstream, timeout_ms=60_000)["status"] == "done"
    assert chat.text == counted(300)


def test_eight_tabs_share_four_connections_and_all_show_the_whole_answer(world: World, context: BrowserContext) -> None:
    world.upstream.hold()
    chats = [Chat(context.new_page(), world.server.url).open() for _ in range(8)]
    stream_id = chats[0].ask(world.question(200, stall_after=100))
    chats[0].wait_for_text(counted(100))
    for chat in chats[1:]:
        chat.page.reload()
        chat.wait_for_text(counted(100))
    held = chats[0].page.evaluate("navigator.locks.query().then(({ held }) => held.map(({ name }) => name))")
    assert len([name for name in held if name.startswith("magic-stream-")]) == PLACES
    # One that has a place leaves it to one that polls.
    chats[0].page.close()
    world.upstream.release()
    for chat in chats[1:]:
        assert chat.check(stream_id, world.upstream)["status"] == "done"
        assert chat.text == counted(200)


def test_back_and_forward(world: World, remembering_browser: Browser) -> None:
    context = remembering_browser.new_context()
    chat = Chat(context.new_page(), world.server.url).open()
    stream_id = chat.ask(world.question(200, delay_ms=40))
    chat.wait_for_text("1 2 3")
    chat.page.evaluate("window.kept = true")
    chat.page.goto(f"{world.server.url}/version")
    chat.page.go_back(wait_until="commit")
    assert chat.page.evaluate("window.kept"), "the page was not kept in the back/forward cache"
    assert chat.check(stream_id, world.upstream)["status"] == "done"
    assert chat.text == counted(200)
    context.close()


def test_the_server_s_error_event_ends_it_and_is_no_lost_connection(world: World, context: BrowserContext) -> None:
    chat = Chat(context.new_page(), world.server.url).open()
    stream_id = chat.ask(world.question(200, error_after=20))
    snapshot = chat.check(stream_id, world.upstream)
    assert (snapshot["status"], snapshot["error_type"]) == ("error", "provider_error")
    assert "reconnecting" not in chat.states
    assert chat.text == counted(20)


def test_a_start_whose_answer_gets_lost_is_not_paid_twice(
    world: World, context: BrowserContext, proxy: ByteProxy
) -> None:
    chat = Chat(context.new_page(), proxy.url).open()
    proxy.lose_reply_to(b"POST /api/v1/stream ")
    stream_id = chat.ask(world.question(50, delay_ms=10))
    assert chat.check(stream_id, world.upstream)["status"] == "done"
    assert chat.text == counted(50)


def test_a_deploy(world: World, context: BrowserContext) -> None:
    chat = Chat(context.new_page(), world.server.url).open()
    stream_id = chat.ask(world.question(150, delay_ms=20))
    chat.wait_for_text("1 2 3")
    world.server.terminate()
    world.server.start()
    assert chat.check(stream_id, world.upstream)["status"] == "done"
    assert chat.text == counted(150)


def test_offline_and_back(world: World, context: BrowserContext, proxy: ByteProxy) -> None:
    chat = Chat(context.new_page(), proxy.url).open()
    stream_id = chat.ask(world.question(150, delay_ms=20))
    chat.wait_for_text("1 2 3")
    context.set_offline(True)
    proxy.reset_all()
    chat.wait_until_told("You are offline")
    context.set_offline(False)
    assert chat.check(stream_id, world.upstream)["status"] == "done"
    assert chat.text == counted(150)


@pytest.mark.parametrize("seed", range(5))
def test_loss_repetition_and_disorder(world: World, context: BrowserContext, seed: int) -> None:
    faults = FrameFaults(seed=seed, loss=0.1, duplicates=0.2, reorder=0.2)
    with FrameProxy(world.server.port, faults) as proxy:
        chat = Chat(context.new_page(), proxy.url).open()
        stream_id = chat.ask(world.question(200, delay_ms=20))
        assert chat.check(stream_id, world.upstream, timeout_ms=120_000)["status"] == "done"
        assert chat.text == counted(200)
    assert min(proxy.counts.lost, proxy.counts.repeated, proxy.counts.held_back) > 0
