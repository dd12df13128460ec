"""Markdown as a Word document: headings, lists, tables and links are real ones, not pictures of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from docx import Document
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_BREAK
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Inches, Pt
from docx.table import _Cell
from docx.text.paragraph import Paragraph
from docx.text.run import Run
from markdown_it.tree import SyntaxTreeNode

from magic.markdown import SAFE_SCHEMES, tree_of

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
DEEPEST_LIST = 3
"""That the template of python-docx has styles for."""
MONOSPACE = "Courier New"

_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ALIGNMENTS = {
    "text-align:left": WD_ALIGN_PARAGRAPH.LEFT,
    "text-align:center": WD_ALIGN_PARAGRAPH.CENTER,
    "text-align:right": WD_ALIGN_PARAGRAPH.RIGHT,
}


def docx_of(text: str, title: str) -> bytes:
    """A document; ``title`` is its property, and not in its text."""
    writer = _Writer()
    writer.document.core_properties.title = _xml(title)[:255]
    writer.document.core_properties.author = writer.document.core_properties.comments = ""
    writer.blocks(tree_of(text).children, _Place())
    saved = BytesIO()
    writer.document.save(saved)
    return saved.getvalue()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a block stands: in how many quotations, and in which lists, the innermost last."""

    quotes: int = 0
    lists: tuple[_List, ...] = ()
    opens_item: bool = False
    """Whether the next paragraph is the one that has the bullet or number."""


@dataclass(frozen=True, slots=True)
class _List:
    style: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """How a piece of text is set."""

    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False


class _Writer:
    """Blocks of a syntax tree, one after the other, into a document."""

    def __init__(self) -> None:
        self.document = Document()

    def blocks(self, nodes: list[SyntaxTreeNode], place: _Place) -> None:
        for node in nodes:
            self._block(node, place)
            place = replace(place, opens_item=False)

    def _block(self, node: SyntaxTreeNode, place: _Place) -> None:
        match node.type:
            case "heading" if place.quotes or place.lists:
                # A heading of what is quoted is none of the document's.
                self._inline(self._paragraph(place), node, _Look(bold=True))
            case "heading":
                self._inline(self.document.add_heading(level=int(node.tag[1:])), node)
            case "paragraph":
                self._inline(self._paragraph(place), node)
            case "bullet_list" | "ordered_list":
                self._list(node, place)
            case "blockquote":
                self.blocks(node.children, replace(place, quotes=place.quotes + 1, opens_item=False))
            case "fence" | "code_block":
                self._code(node.content, place)
            case "table":
                self._table(node)
            case "hr":
                _rule_below(self.document.add_paragraph())

    def _paragraph(self, place: _Place) -> Paragraph:
        depth = min(len(place.lists), DEEPEST_LIST)
        suffix = f" {depth}" if depth > 1 else ""
        if depth and place.opens_item:
            paragraph = self.document.add_paragraph(style=place.lists[-1].style + suffix)
            if (number := place.lists[-1].number) is not None:
                _count_in(paragraph, number)
        elif depth:
            paragraph = self.document.add_paragraph(style=f"List Continue{suffix}")
        else:
            paragraph = self.document.add_paragraph(style="Quote" if place.quotes else None)
        if place.quotes:
            paragraph.paragraph_format.left_indent = Inches(0.3 * place.quotes + 0.25 * depth)
        return paragraph

    def _list(self, node: SyntaxTreeNode, place: _Place) -> None:
        listed = _List("List Bullet")
        depth = min(len(place.lists) + 1, DEEPEST_LIST)
        if node.type == "ordered_list":
            listed = _List("List Number", self._new_count(depth, int(node.attrs.get("start", 1))))
        for item in node.children:
            self.blocks(item.children, replace(place, lists=(*place.lists, listed), opens_item=True))

    def _new_count(self, depth: int, start: int) -> int:
        """A numbering of its own: without it one list would go on where the last one ended."""
        style: Any = self.document.styles["List Number" if depth == 1 else f"List Number {depth}"].element
        numbering: Any = self.document.part.numbering_part.element
        its_own = numbering.num_having_numId(style.pPr.numPr.numId.val)
        number = numbering.add_num(its_own.abstractNumId.val)
        number.add_lvlOverride(ilvl=0).add_startOverride(min(start, 32_000))
        return int(number.numId)

    def _code(self, content: str, place: _Place) -> None:
        paragraph = self._paragraph(replace(place, opens_item=False))
        paragraph.paragraph_format.space_after = Pt(6)
        paragraph.paragraph_format.alignment = WD_ALIGN_PARAGRAPH.LEFT
        _set(paragraph.add_run(_xml(content.rstrip("\n"))), _Look(code=True))

    def _table(self, node: SyntaxTreeNode) -> None:
        rows = [row for part in node.children for row in part.children]
        table = self.document.add_table(rows=0, cols=max(len(row.children) for row in rows), style="Table Grid")
        for row in rows:
            for place, cell in enumerate(row.children):
                if place == 0:
                    cells = table.add_row().cells
                self._cell(cells[place], cell)
        if node.children[0].type == "thead":
            _repeat_on_each_page(table.rows[0])
        self.document.add_paragraph()

    def _cell(self, cell: _Cell, node: SyntaxTreeNode) -> None:
        paragraph = cell.paragraphs[0]
        paragraph.alignment = _ALIGNMENTS.get(str(node.attrs.get("style", "")))
        self._inline(paragraph, node, _Look(bold=node.type == "th"))

    def _inline(self, paragraph: Paragraph, node: SyntaxTreeNode, look: _Look = _Look()) -> None:
        for inline in node.children:
            self._pieces(paragraph, inline.children, look)

    def _pieces(self, paragraph: Paragraph, nodes: list[SyntaxTreeNode], look: _Look, link: str = "") -> None:
        for node in nodes:
            match node.type:
                case "text":
                    self._run(paragraph, node.content, look, link)
                case "code_inline":
                    self._run(paragraph, node.content, replace(look, code=True), link)
                case "softbreak":
                    self._run(paragraph, " ", look, link)
                case "hardbreak":
                    paragraph.add_run().add_break(WD_BREAK.LINE)
                case "strong":
                    self._pieces(paragraph, node.children, replace(look, bold=True), link)
                case "em":
                    self._pieces(paragraph, node.children, replace(look, italic=True), link)
                case "s":
                    self._pieces(paragraph, node.children, replace(look, strike=True), link)
                case "link":
                    self._pieces(paragraph, node.children, look, _safe(str(node.attrs.get("href", ""))))

    def _run(self, paragraph: Paragraph, content: str, look: _Look, link: str) -> None:
        if not content:
            return
        run = paragraph.add_run(_xml(content))
        _set(run, look)
        if link:
            run.font.underline = True
            hyperlink = OxmlElement("w:hyperlink")
            hyperlink.set(qn("r:id"), self.document.part.relate_to(link, RELATIONSHIP_TYPE.HYPERLINK, is_external=True))
            hyperlink.append(run._r)
            paragraph._p.append(hyperlink)


def _set(run: Run, look: _Look) -> None:
    run.bold, run.italic, run.font.strike = look.bold or None, look.italic or None, look.strike or None
    if look.code:
        run.font.name, run.font.size = MONOSPACE, Pt(9.5)


def _count_in(paragraph: Paragraph, number: int) -> None:
    properties: Any = paragraph._p.get_or_add_pPr()
    numbered = properties.get_or_add_numPr()
    numbered.get_or_add_ilvl().val = 0
    numbered.get_or_add_numId().val = number


def _rule_below(paragraph: Paragraph) -> None:
    border = OxmlElement("w:pBdr")
    bottom = OxmlElement("w:bottom")
    for name, value in (("val", "single"), ("sz", "6"), ("space", "1"), ("color", "auto")):
        bottom.set(qn(f"w:{name}"), value)
    border.append(bottom)
    paragraph._p.get_or_add_pPr().append(border)


def _repeat_on_each_page(row: Any) -> None:
    row._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))


def _safe(url: str) -> str:
    try:
        return _xml(url) if urlsplit(url).scheme in SAFE_SCHEMES else ""
    except ValueError:
        return ""


def _xml(text: str) -> str:
    """What XML cannot hold is replaced."""
    return _NO_XML.sub("\ufffd", text)
