"""Rendering is bounded, whatever a body does, and a document is what its Markdown says."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import Future, wait
from typing import Any

import pytest
from docx import Document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magic import rendering
from magic.definitions import Definition
from magic.documents import docx_of
from magic.errors import TemplateFailed
from magic.markdown import html_of
from magic.rendering import OutputFormat, Renderer
from magic.sandbox import cell, fenced, lines, quoted
from streaming.errors import InvalidRequest, Unavailable

LONG = "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3


def template(body: str) -> Definition:
    return Definition(name="t", title="T", description="D", body=body)


def prompt(renderer: Renderer, body: str, **values: Any) -> str:
    return renderer.render(template(body), values, OutputFormat.TEXT).result(120).prompt


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less time than there is, and still many times what an ordinary body takes."""
    monkeypatch.setattr(rendering, "CPU_SECONDS", 0.5)


@pytest.mark.parametrize(
    "body",
    [
        LONG,
        "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
        "{% set ns = namespace(n=9) %}{% for i in range(99999) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ (9 ** 99999) ** 999 }}",
        "{% if 9 ** (9 ** 9) %}x{% endif %}",
    ],
)
def test_a_body_that_does_not_end_is_ended(renderer: Renderer, body: str) -> None:
    with pytest.raises((TemplateFailed, InvalidRequest)):
        prompt(renderer, body)
    assert prompt(renderer, "still {{ x }}", x="here") == "still here"


@pytest.mark.parametrize(
    "body",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 'a' * 32001 }}",
        "{% for i in range(99999) %}aaaaaaaaaa{% endfor %}",
        "{{ 'x' | center(10**10) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000d}'.format(1) }}",
        "{{ [1] * 10**9 }}",
        "{{ x | join('a' * 1000000) }}",
        "{{ 'a'.ljust(10**9) }}",
        "{% set a = 'a' * 10**8 %}{% set b = a * 10 %}{{ b | length }}",
    ],
)
def test_a_body_that_makes_too_much_is_refused(renderer: Renderer, body: str) -> None:
    with pytest.raises((InvalidRequest, TemplateFailed)):
        prompt(renderer, body, x=["1"] * 1000)
    assert prompt(renderer, "still {{ x }}", x="here") == "still here"


@pytest.mark.parametrize(
    "body",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ '' | attr('__class__') }}",
        "{{ '{0.__class__.__mro__}'.format(x) }}",
        "{{ '{x.__class__}'.format_map({'x': x}) }}",
        "{{ x.__init__.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ (x | map('attr', '__class__') | list)[0] }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ range.__self__ }}",
        "{{ x.append(1) }}",
        "{{ {}.update({'a': 1}) }}",
        "{{ cycler.__init__ }}",
        "{{ lipsum() }}",
        "{{ [1, 2] | random }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'x' %}",
        "{{ nothing }}",
        "{{ x.y.z }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ '\\x00' }}",
        "  \n ",
    ],
)
def test_a_body_reaches_nothing_but_its_values(renderer: Renderer, body: str) -> None:
    with pytest.raises(TemplateFailed):
        prompt(renderer, body, x=[])


def test_what_went_wrong_is_for_the_author_alone(renderer: Renderer) -> None:
    with pytest.raises(TemplateFailed) as failed:
        prompt(renderer, "{{ x + 1 }}{{ missing }}", x="secret")
    assert "secret" not in failed.value.detail
    assert failed.value.reason != failed.value.detail


def test_values_are_data_and_never_a_template(renderer: Renderer) -> None:
    hostile = "{{ 7 * 7 }}{% raw %}{# #}${7*7}"
    assert prompt(renderer, "{{ x }}", x=hostile) == hostile


def test_a_worker_has_nothing_of_the_servers_environment(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary")
    worker = rendering.Worker()
    try:
        with open(f"/proc/{worker._process.pid}/environ", "rb") as environment:
            assert b"canary" not in environment.read()
    finally:
        worker.close()


def test_a_worker_that_was_killed_is_replaced(renderer: Renderer) -> None:
    prompt(renderer, "x")
    for worker in tuple(renderer._workers):
        worker._process.kill()
        worker._process.wait()
    assert [prompt(renderer, "x") for _ in range(4)] == ["x"] * 4


@pytest.fixture
def busy(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Future[Any]]]:
    """As many jobs as may wait, the first ones long."""
    monkeypatch.setattr(rendering, "MOST_WAITING", 4)
    bodies = [LONG, LONG, "x", "x"]
    futures: list[Future[Any]] = [renderer.render(template(body), {}, OutputFormat.TEXT) for body in bodies]
    yield futures
    wait(futures)


def test_who_comes_when_too_many_wait_is_told_to_come_again(renderer: Renderer, busy: list[Future[Any]]) -> None:
    with pytest.raises(Unavailable) as refused:
        renderer.render(template("x"), {}, OutputFormat.TEXT)
    assert refused.value.retry_after
    assert busy[-1].result(120).prompt == "x", "the others get their turn"
    assert prompt(renderer, "x") == "x"


def test_a_process_that_waits_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = rendering.Worker()
    monkeypatch.setattr(rendering, "JOB_SECONDS", 0.2)
    # It waits for the rest of a line that never comes.
    assert worker._line(b'{"check": ', rendering.JOB_SECONDS) is None
    assert worker._process.wait(30) != 0
    worker.close()


@given(text=st.text(max_size=200))
@settings(deadline=None)
def test_a_quotation_or_fence_holds_all_that_is_put_into_it(text: str) -> None:
    assert all(line.startswith(">") for line in quoted(text).splitlines())
    fence = fenced(text).splitlines()[0]
    assert fence.strip() not in text
    assert "\n" not in cell(text) and "|" not in cell(text).replace("\\|", "")
    assert all(line.strip() for line in lines(text))


MARKDOWN = st.lists(
    st.sampled_from(
        [
            *(
                "# a",
                "###### b",
                "- c",
                "  - d",
                "    - e",
                "      - f",
                "1. g",
                "7) h",
                "> i",
                "> > j",
                "```",
                "|a|b|",
            ),
            *("|-|:-:|", "|1|", "---", "**k**", "*l*", "~~m~~", "`n`", "[o](https://a.b)", "[p](javascript:x)"),
            *("![q](r.png)", "<script>x</script>", "<b>", "&lt;", "", "", "\t\ts", "t  ", "\\|", "\x0b", "\u202e"),
        ]
    )
    | st.text(max_size=8),
    max_size=12,
).map("\n".join)


@given(text=MARKDOWN)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_markdown_makes_a_document_that_opens_and_html_that_does_nothing(text: str) -> None:
    Document(io.BytesIO(docx_of(text, text)))
    page = html_of(text).lower()
    for danger in ("<script", "<b>", "<img", 'href="javascript', "onerror="):
        assert danger not in page


def test_headings_lists_tables_and_links_of_a_docx_are_real() -> None:
    text = (
        "# One\n\n## Two\n\n- a\n  - b\n    1. c\n    2. d\n\n1. e\n2. f\n\nApart\n\n5. g\n\n"
        "| Left | Right |\n|---|--:|\n| **x** | `y` |\n\n> said\n\n[there](https://example.com)\n\n```\ncode  here\n```"
    )
    opened = Document(io.BytesIO(docx_of(text, "Title")))
    styles = {p.text: p.style.name for p in opened.paragraphs if p.style is not None}
    assert styles["One"] == "Heading 1" and styles["Two"] == "Heading 2"
    assert (styles["a"], styles["b"], styles["c"]) == ("List Bullet", "List Bullet 2", "List Number 3")
    assert styles["said"] == "Quote"
    [table] = opened.tables
    assert [[c.text for c in row.cells] for row in table.rows] == [["Left", "Right"], ["x", "y"]]
    assert [run.bold for run in table.rows[0].cells[0].paragraphs[0].runs] == [True]
    [link] = [link for p in opened.paragraphs for link in p.hyperlinks]
    assert (link.text, link.address) == ("there", "https://example.com")
    numbers = {p.text: number_of(p) for p in opened.paragraphs if (p.style and p.style.name) == "List Number"}
    assert numbers["e"] == numbers["f"] != numbers["g"], "each list counts for itself"
    assert any(run.font.name == "Courier New" and run.text == "code  here" for p in opened.paragraphs for run in p.runs)


def number_of(paragraph: Any) -> int:
    return int(paragraph._p.pPr.numPr.numId.val)
