"""The shipped templates: each is valid, says what its golden file says, and opens in every format."""

from __future__ import annotations

import io
import re
import zipfile
from html.parser import HTMLParser
from typing import Any

import pytest
from docx import Document
from lxml import etree

from magic.inputs import InputType
from magic.library import FOLDER, shipped
from magic.rendering import OutputFormat, Renderer
from tests.prompts.samples import NAMES, both, full, golden, least, render


def test_there_are_templates_for_what_people_really_do() -> None:
    assert set(NAMES) >= {
        *("meeting_recap", "email_reply", "sales_follow_up", "summary"),
        *("translation", "code_review", "bug_report", "brainstorm"),
    }
    used = {declared.type for definition in shipped().values() for declared in definition.inputs}
    assert used == set(InputType), "every type of input is used, and so shown, somewhere"


def test_each_file_is_named_as_its_template() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_body_uses_its_inputs_and_no_other_name(renderer: Renderer, name: str) -> None:
    definition = shipped()[name]
    renderer.check(definition.body, [each.id for each in definition.inputs])
    for declared in definition.inputs:
        assert re.search(rf"\b{declared.id}\b", definition.body), f"{declared.id} is asked for and not used"


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_that_of_the_golden_file(renderer: Renderer, name: str) -> None:
    definition = shipped()[name]
    assert golden(definition).exists(), "a changed template has a new version: python -m tests.prompts.samples"
    assert both(renderer, definition) == golden(definition).read_text(encoding="utf-8"), "raise the version"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("values", [least, full])
def test_html_is_well_formed_and_holds_nothing_that_runs(renderer: Renderer, name: str, values: Any) -> None:
    definition = shipped()[name]
    rendered = render(renderer, definition, values(definition), OutputFormat.HTML)
    page = rendered.document.decode()
    seen = Page(page)
    assert seen.open == [], "every element is closed"
    assert seen.tags <= {
        *("h1", "h2", "h3", "p", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
        *("blockquote", "pre", "code", "em", "strong", "a", "br", "hr"),
    }
    assert "<b>" not in page and "javascript:" not in page
    assert seen.words, "there is something to read"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("values", [least, full])
def test_docx_opens_with_all_its_text_and_real_structure(renderer: Renderer, name: str, values: Any) -> None:
    definition = shipped()[name]
    text = render(renderer, definition, values(definition), OutputFormat.TEXT).prompt
    without_code = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    opened = Document(io.BytesIO(render(renderer, definition, values(definition), OutputFormat.DOCX).document))
    assert opened.core_properties.title == definition.title
    headings = [p.text for p in opened.paragraphs if ((p.style and p.style.name) or "").startswith("Heading")]
    assert headings == re.findall(r"^#+ (.+)$", without_code, re.MULTILINE)
    lists = [p for p in opened.paragraphs if ((p.style and p.style.name) or "").startswith("List ")]
    assert bool(lists) == bool(re.search(r"^(> )?(\d+\.|-) ", without_code, re.MULTILINE))
    assert len(opened.tables) == len(re.findall(r"^\|(---\|)+$", text, re.MULTILINE))
    in_cells = [cell.text for table in opened.tables for row in table.rows for cell in row.cells]
    words = " ".join([*(p.text for p in opened.paragraphs), *in_cells])
    missing = {w for w in re.findall(r"\w{4,}", text) if w not in words}
    # A fence names its language, and a document has no place for it.
    assert missing <= {"diff", "text", "other", "typescript"}


def test_a_docx_is_made_of_parts_that_are_xml(renderer: Renderer) -> None:
    definition = shipped()["translation"]
    document = render(renderer, definition, full(definition), OutputFormat.DOCX).document
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        assert archive.testzip() is None
        for part in archive.namelist():
            if part.endswith((".xml", ".rels")):
                etree.fromstring(archive.read(part))


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in {"br", "hr"}:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name, value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.strip()
