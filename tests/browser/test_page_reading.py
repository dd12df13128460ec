"""How an answer reads on the page: Markdown, code, hostile texts, scrolling."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.acting import answered, ask, counted, source_of, visit, wait_for
from tests.servers import Server

HOSTILE = (Path(__file__).parent.parent / "js" / "hostile.md").read_text().replace("\n%%\n", "\n\n")
STANDS_STILL = """() => new Promise((tell) => {
  const at = scrollY;
  let frames = 10;
  const look = () => (scrollY !== at ? tell(false) : frames-- ? requestAnimationFrame(look) : tell(true));
  look();
})"""
"""A wheel scrolls over some frames."""
TO_END = "document.documentElement.scrollHeight - innerHeight - scrollY"


def test_markdown_is_shown_with_tables_lists_and_coloured_code(served: Server, page: Page) -> None:
    visit(served, page)
    answered(page, "/markdown")
    text = page.locator(".text")
    expect(text.locator("table tbody tr")).to_have_count(3)
    expect(text.locator(".code-keyword").first).to_be_visible()
    expect(text.locator("blockquote blockquote")).to_have_count(1)
    expect(text.get_by_role("link", name="An inline link")).to_have_attribute("rel", "noopener noreferrer nofollow")
    assert text.locator("img, script, a[href^=javascript]").count() == 0
    assert page.title() != "this must never run"


def test_a_message_and_its_code_are_copied_as_the_model_wrote_them(served: Server, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=served.url)
    visit(served, page)
    code = "x = $1\n    _y_ = '<b>'"
    answered(page, f"/echo **Code:**\n\n```python\n{code}\n```\n")
    page.get_by_role("button", name="Copy code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == code
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied").last).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == source_of(page)
    assert code in source_of(page)


def test_a_hostile_text_runs_nothing_and_sends_nothing_anywhere(served: Server, page: Page) -> None:
    elsewhere: list[str] = []
    page.on("request", lambda request: None if request.url.startswith(served.url) else elsewhere.append(request.url))
    page.on("dialog", lambda dialog: elsewhere.append(dialog.message))
    visit(served, page)
    answered(page, f"/echo {HOSTILE}")
    assert source_of(page) == HOSTILE
    assert page.locator(".text :is(script, img, iframe, object, style, link, meta, base, form, svg)").count() == 0
    assert page.locator(".text [onclick], .text [onload], .text [onerror]").count() == 0
    assert elsewhere == []


def test_the_marks_of_a_list_stand_on_the_side_on_which_their_item_begins(served: Server, page: Page) -> None:
    visit(served, page)
    answered(page, "/echo - \u05e9\u05dc\u05d5\u05dd\n- left to right\n- [x] done")
    list_ = page.locator(".text ul").bounding_box()
    boxes = [item.bounding_box() for item in page.locator(".text li").all()]
    assert list_ is not None
    indents = [(box["x"] - list_["x"], list_["width"] - box["width"]) for box in boxes if box is not None]
    assert indents == [(0, 24), (24, 24), (24, 24)]


def test_without_its_libraries_the_page_shows_text_and_works(served: Server, page: Page) -> None:
    page.route("**/vendor/**", lambda route: route.abort())
    visit(served, page)
    answered(page, "/echo **plain**  text")
    expect(page.locator(".text")).to_have_text("**plain**  text", use_inner_text=True)


def test_the_page_is_of_use_while_its_libraries_are_still_on_their_way(served: Server, page: Page) -> None:
    waiting: list[Route] = []
    page.route("**/vendor/**", lambda route: waiting.append(route))
    page.goto(f"{served.url}/magic", wait_until="commit")
    page.get_by_text("nobody is charged").wait_for(state="attached")
    answered(page, "/echo **late**")
    expect(page.locator(".text")).to_have_text("**late**")
    for route in waiting:
        route.continue_()
    expect(page.locator(".text strong")).to_have_text("late")


def test_the_page_follows_the_end_and_never_pulls_a_reader_who_left_it(served: Server, page: Page) -> None:
    visit(served, page)
    ask(page, "/count 3000 400")
    page.locator(".text", has_text="1200 ").wait_for()
    page.wait_for_function(f"{TO_END} <= 2")
    page.mouse.move(700, 300)
    page.mouse.wheel(0, -30)
    expect(page.get_by_role("button", name="Jump to the latest")).to_be_visible()
    page.wait_for_function(STANDS_STILL)
    left_at = page.evaluate("scrollY")
    page.locator(".text", has_text="2000 ").wait_for()
    assert page.evaluate("scrollY") == left_at
    wait_for(page, "done")
    assert page.evaluate("scrollY") == left_at
    assert source_of(page) == counted(1, 3000)
    page.get_by_role("button", name="Jump to the latest").click()
    page.wait_for_function(f"{TO_END} <= 2")
    expect(page.get_by_role("button", name="Jump to the latest")).to_be_hidden()


def test_nothing_jumps_when_an_answer_ends(served: Server, page: Page) -> None:
    visit(served, page)
    page.evaluate(
        """() => {
          window.tops = [];
          addEventListener("scroll", () => tops.push(scrollY));
        }"""
    )
    answered(page, "/count 3000 0")
    page.wait_for_function(f"{TO_END} <= 2")
    assert page.evaluate("tops.every((top, at) => at === 0 || top >= tops[at - 1])")


GROW = """async ([text, frames]) => {
  const { TextFlow } = await import("/static/magic/text_flow.js");
  const { Markdown } = await import("/static/magic/markdown.js");
  const library = await import("/static/magic/vendor/smd.js");
  const element = document.querySelector(".text");
  const flow = new TextFlow(element, () => new Markdown(element, library, () => {}), () => {});
  flow.replace("");
  const times = [];
  for (let frame = 0; frame < frames; frame += 1) {
    const size = Math.ceil(text.length / frames);
    flow.append(text.slice(frame * size, (frame + 1) * size));
    const started = performance.now();
    flow.flush();
    document.documentElement.scrollHeight;
    times.push(performance.now() - started);
    if (frame % 50 === 0) await new Promise(requestAnimationFrame);
  }
  flow.end();
  const median = (some) => some.sort((one, other) => one - other)[some.length >> 1];
  const part = frames / 5;
  const [early, late] = [times.slice(part, 2 * part), times.slice(-part)];
  return { early: median(early), late: median(late), most: Math.max(...times) };
}"""
TEXTS = {
    "markdown": "".join(
        f"## Part {n}\n\nWords *and* words, `code` and [links](https://x.org/{n}).\n\n- a\n- b\n  - c\n\n"
        f"```python\nx = {n}\n```\n\n| a | b |\n|---|---|\n| {n} | 2 |\n\n"
        for n in range(3000)
    ),
    "one paragraph": "".join(f"{n} " for n in range(80_000)),
    "one block of code": "```\n" + "".join(f"line {n} of the code\n" for n in range(20_000)),
    "one line after another": "".join(f"line {n} of many\n" for n in range(25_000)),
}


def grown(served: Server, page: Page, kind: str, chars: int) -> dict[str, float]:
    """Milliseconds of script and layout of a flush of 400 characters, near the beginning and at the end of a text."""
    visit(served, page)
    answered(page, "/echo x")
    took: dict[str, float] = page.evaluate(GROW, [TEXTS[kind][:chars], chars // 400])
    print(f"{kind}, {chars} characters: {took}")
    return took


def test_the_last_words_of_a_long_answer_cost_about_what_the_first_did(served: Server, page: Page) -> None:
    took = grown(served, page, "markdown", 60_000)
    assert took["late"] < 5 * took["early"] + 10


@pytest.mark.soak
@pytest.mark.parametrize("kind", TEXTS)
def test_100_000_tokens_fit_into_their_frames(served: Server, page: Page, kind: str) -> None:
    """Four hundred characters a frame are a hundred times what a fast model writes. Needs a machine of its own."""
    took = grown(served, page, kind, 400_000)
    assert took["late"] < 16
