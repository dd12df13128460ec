"""Jinja2's immutable sandbox: a template's body and checked values in, the prompt out.

Runs in a process of its own (see ``worker``), which is what bounds the time and memory that a body can take: the
sandbox keeps it from Python's insides, and cannot keep it from counting to a billion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_BACKTICKS = re.compile("`+")


class BadTemplate(Exception):
    """A body that is no template, or that names what is not there. For who wrote it."""


class TooLarge(Exception):
    """The prompt would be longer than it may be."""


def check(body: str, names: Iterable[str]) -> None:
    """Raises BadTemplate where a body cannot be compiled, or uses a name that is none of ``names``."""
    env = _environment()
    try:
        tree = env.parse(body)
        env.compile(tree)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"line {error.lineno}: {error.message}") from None
    if unknown := meta.find_undeclared_variables(tree) - set(names) - set(env.globals):
        raise BadTemplate(f"no input is called {', '.join(sorted(unknown))}")


def render(body: str, values: Mapping[str, Any], most_chars: int) -> str:
    """The prompt. Raises BadTemplate, TooLarge, or whatever the body runs into."""
    try:
        template = _environment().from_string(body)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"line {error.lineno}: {error.message}") from None
    parts: list[str] = []
    size = 0
    for part in template.generate(**values):
        size += len(part)
        if size > most_chars:
            raise TooLarge
        parts.append(part)
    text = "".join(parts).strip("\n")
    if _UNSTORABLE.search(text):
        raise BadTemplate("it makes characters that no prompt can have")
    return text


def _environment() -> ImmutableSandboxedEnvironment:
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: "" if value is None else value,
    )
    # What differs from one time to the next, or is there to fill pages.
    for name in ("lipsum", "cycler", "joiner"):
        del env.globals[name]
    del env.filters["random"]
    env.filters.update(lines=lines, quoted=quoted, fenced=fenced, cell=cell, long_date=long_date)
    return env


def lines(text: str | None) -> list[str]:
    """The lines of a text that are not empty, without the marks of lists, quotations and headings."""
    stripped = (re.sub(r"^\s*(?:[-+*•>#]+\s+)?", "", line).rstrip() for line in (text or "").splitlines())
    return [line for line in stripped if line]


def quoted(text: str | None) -> str:
    """A text as a Markdown quotation: nothing in it passes for the prompt's own headings or sections."""
    return "\n".join(f"> {line}".rstrip() for line in (text or "").splitlines())


def fenced(text: str | None, language: str = "") -> str:
    """A text as a Markdown code block, in a fence longer than any that stands in it."""
    longest = max((len(run) for run in _BACKTICKS.findall(text or "")), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text or ''}\n{fence}"


def cell(text: str | None) -> str:
    """A text for one cell of a Markdown table."""
    return " ".join((text or "").split()).replace("\\", "\\\\").replace("|", "\\|")


def long_date(iso: str) -> str:
    """``2026-11-24`` as ``Tuesday, 24 November 2026``."""
    day = date.fromisoformat(iso)
    return f"{_DAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
