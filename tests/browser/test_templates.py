"""The page's templates: picked and filled in, or found for a message; ready in the message field."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.servers import Server


@pytest.fixture
def dialog(page: Page, served: Server) -> Page:
    """The page, with its templates open."""
    page.goto(f"{served.url}/magic")
    page.get_by_role("button", name="Templates").click()
    return page


def test_a_template_is_filled_in_and_what_is_wrong_stands_at_its_field(dialog: Page) -> None:
    dialog.get_by_label("Template", exact=True).select_option("brainstorm")
    dialog.get_by_role("spinbutton", name="Ideas").fill("1000")
    dialog.get_by_role("button", name="Use it").click()
    expect(dialog.get_by_text("Ideas must be 50 or less.")).to_be_visible()
    problem = dialog.get_by_label("Problem or question")
    expect(problem).to_be_focused()
    problem.fill("Rain in the server room")
    dialog.get_by_role("spinbutton", name="Ideas").fill("7")
    dialog.get_by_label("Inversion").uncheck()
    dialog.get_by_role("button", name="Use it").click()
    message = dialog.locator("#message")
    expect(message).to_have_value(re.compile("> Rain in the server room"))
    expect(message).to_have_value(re.compile(r"7 ideas.*First principles, Analogies\.", re.DOTALL))
    expect(message).to_be_focused()
    with dialog.expect_request(lambda request: request.method == "POST") as sent:
        message.press("Enter")
    assert (sent.value.post_data_json or {})["template"] == "brainstorm@1", "so that its costs are counted"


def test_a_pasted_message_becomes_a_template_ready_to_send(dialog: Page) -> None:
    dialog.get_by_label("Or paste a message").fill("The app crashes with an error. Please mend it today.")
    dialog.get_by_role("button", name="Find a template").click()
    expect(dialog.get_by_label("What was seen")).to_have_value("The app crashes with an error. Please mend it today.")
    expect(dialog.get_by_role("listitem").filter(has_text="Please mend it today.")).to_be_visible()
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_label("The prompt")).to_contain_text("Write a bug report")
    dialog.get_by_role("button", name="Use it").click()
    expect(dialog.locator("#message")).to_have_value(re.compile("> The app crashes"))
