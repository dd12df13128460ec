"""Markdown as people write it, parsed; and as HTML that is safe to show. Pure."""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

SAFE_SCHEMES = {"http", "https", "mailto"}

_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "pre", "code", "em", "strong", "s", "a"),
    *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "code": {"class"},
    "th": {"style"},
    "td": {"style"},
}

# Raw HTML stays text, and an image is a link to it: looking at a prompt asks no other server for anything.
_parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")


def html_of(text: str) -> str:
    """A fragment of HTML."""
    return nh3.clean(
        _parser.render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=SAFE_SCHEMES,
        filter_style_properties={"text-align"},
        link_rel="noopener noreferrer nofollow",
    )


def tree_of(text: str) -> SyntaxTreeNode:
    """The syntax tree."""
    return SyntaxTreeNode(_parser.parse(text))
