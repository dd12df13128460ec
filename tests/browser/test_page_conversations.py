"""Conversations on the page: their history, their versions, what is begun and not sent."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.acting import answered, ask, counted, fetched, source_of, text_of, visit, wait_for
from tests.servers import Server


def titles(page: Page) -> list[str]:
    return page.locator(".history a").all_text_contents()


def new_chat(page: Page) -> None:
    page.get_by_role("button", name="New chat").click()
    expect(page.locator(".empty")).to_be_visible()


def test_the_history_is_searched_renamed_and_deleted(served: Server, page: Page) -> None:
    visit(served, page)
    answered(page, "/echo an apple")
    new_chat(page)
    answered(page, "/echo a pear")
    expect(page.locator(".history a")).to_have_text(["/echo a pear", "/echo an apple"])
    page.get_by_label("Search the history").fill("APPLE")
    expect(page.locator(".history a")).to_have_text(["/echo an apple"])
    page.locator(".history li").hover()
    page.get_by_role("button", name="Rename: /echo an apple").click()
    page.get_by_label("New title").fill("Fruit")
    page.get_by_label("New title").press("Enter")
    expect(page.locator(".history a")).to_have_text(["Fruit"])
    page.get_by_label("Search the history").fill("")
    expect(page.locator(".history a")).to_have_text(["/echo a pear", "Fruit"])
    page.locator(".history li").last.hover()
    page.get_by_role("button", name="Delete: Fruit").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".history a")).to_have_count(2)
    page.get_by_role("button", name="Delete: Fruit").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".history a")).to_have_text(["/echo a pear"])
    assert source_of(page) == "a pear"
    page.reload()
    expect(page.locator(".history a")).to_have_text(["/echo a pear"])


def test_back_and_forward_go_through_conversations(served: Server, page: Page) -> None:
    visit(served, page)
    answered(page, "/echo one")
    new_chat(page)
    answered(page, "/echo two")
    page.get_by_role("link", name="/echo one").click()
    expect(page.locator(".question")).to_have_text("/echo one")
    expect(page.locator("#title")).to_have_text("/echo one")
    page.go_back()
    expect(page.locator(".question")).to_have_text("/echo two")
    page.go_forward()
    expect(page.locator(".question")).to_have_text("/echo one")
    page.reload()
    wait_for(page, "done")
    assert source_of(page) == "one"


def test_a_second_tab_shows_what_is_being_written_in_the_first(served: Server, page: Page) -> None:
    visit(served, page)
    ask(page, "/count 40 20")
    page.locator(".text", has_text="1 2 3").wait_for()
    second = page.context.new_page()
    visit(served, second)
    wait_for(second, "done")
    wait_for(page, "done")
    assert source_of(page) == source_of(second) == counted(1, 40)
    expect(second.locator(".answer")).to_have_count(1)


def test_a_message_follows_the_turns_before_it(served: Server, page: Page) -> None:
    visit(served, page)
    answered(page, "/echo one")
    answered(page, "/echo two")
    newest, oldest = fetched(page, "/api/v1/streams")["streams"]
    assert (newest["parent_id"], oldest["parent_id"]) == (oldest["stream_id"], None)
    assert newest["conversation_id"] == oldest["conversation_id"]


def test_every_version_of_a_turn_is_kept_and_reached(served: Server, page: Page) -> None:
    visit(served, page)
    answered(page, "/echo first")
    answered(page, "/echo second")
    last = page.locator(".answer").last
    last.get_by_role("button", name="Regenerate").click()
    expect(last.locator(".versions")).to_contain_text("2/2")
    wait_for(page, "done")
    page.locator(".answer").first.hover()
    page.locator(".answer").first.get_by_role("button", name="Edit").click()
    page.get_by_label("Your question").fill("/echo first, better")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".answer")).to_have_count(1)
    wait_for(page, "done")
    assert source_of(page) == "first, better"
    page.reload()
    wait_for(page, "done")
    expect(page.locator(".versions")).to_contain_text("2/2")
    page.get_by_role("button", name="Previous version").click()
    expect(page.locator(".question")).to_have_text(["/echo first", "/echo second"])
    parents = {stream["message"]: stream["parent_id"] for stream in fetched(page, "/api/v1/streams")["streams"]}
    assert parents["/echo first, better"] is None


def test_what_was_begun_is_kept_for_each_conversation(served: Server, page: Page) -> None:
    visit(served, page)
    answered(page, "/echo one")
    page.get_by_label("Message").fill("a question to one")
    new_chat(page)
    expect(page.get_by_label("Message")).to_have_value("")
    page.get_by_label("Message").fill("a new question")
    page.get_by_role("link", name="/echo one").click()
    expect(page.get_by_label("Message")).to_have_value("a question to one")
    page.reload()
    expect(page.get_by_label("Message")).to_have_value("a question to one")
    new_chat(page)
    expect(page.get_by_label("Message")).to_have_value("a new question")


def test_escape_stops_and_what_was_written_is_kept(served: Server, page: Page) -> None:
    visit(served, page)
    ask(page, "/count 1000 20")
    page.locator(".text", has_text="1 2 3").wait_for()
    ask(page, "too early")
    expect(page.get_by_role("alert")).to_contain_text("still being written")
    page.keyboard.press("Escape")
    wait_for(page, "cancelled")
    expect(page.locator(".note")).to_contain_text("Stopped")
    expect(page.get_by_label("Message")).to_have_value("too early")
    stopped = text_of(page)
    page.reload()
    wait_for(page, "cancelled")
    assert text_of(page) == stopped
    page.get_by_label("Message").fill("/echo on")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".answer")).to_have_count(2)


def test_enter_that_chooses_a_word_of_an_input_method_sends_nothing(served: Server, page: Page) -> None:
    visit(served, page)
    field = page.get_by_label("Message")
    field.fill("にほん")
    composing = {"key": "Enter", "bubbles": True, "cancelable": True, "isComposing": True}
    field.evaluate("(field, init) => field.dispatchEvent(new KeyboardEvent('keydown', init))", composing)
    field.press("Shift+Enter")
    expect(field).to_have_value("にほん\n")
    expect(page.locator(".answer")).to_have_count(0)


def test_the_system_prompt_and_the_parameters_go_along(served: Server, page: Page) -> None:
    visit(served, page)
    page.get_by_role("button", name="System prompt").click()
    page.get_by_label("System prompt", exact=True).fill("Be brief.")
    page.get_by_label("Temperature").fill("3")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Most tokens").fill("50")
    page.get_by_role("button", name="Keep").click()
    page.reload()
    with page.expect_request(lambda request: request.method == "POST") as sent:
        ask(page, "/echo x")
    body = sent.value.post_data_json or {}
    assert {name: body[name] for name in ("system", "temperature", "max_tokens")} == {
        "system": "Be brief.",
        "temperature": 0.5,
        "max_tokens": 50,
    }


def test_a_refused_question_can_be_asked_again(served: Server, page: Page) -> None:
    visit(served, page)
    limited = {"status": 429, "detail": "Too many.", "error_type": "rate_limited"}
    page.route("**/api/v1/stream", lambda route: route.fulfill(status=429, json=limited, headers={"Retry-After": "45"}))
    ask(page, "/echo x")
    expect(page.locator(".note")).to_contain_text("Too many. Try again in 45.0 s.")
    page.unroute("**/api/v1/stream")
    page.get_by_role("button", name="Try again").click()
    wait_for(page, "done")
    expect(page.locator(".answer")).to_have_count(1)
    expect(page.locator(".versions")).to_be_hidden()
