"""What a prompt template is: its words, its inputs and its body, as written in YAML. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from enum import StrEnum
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from magic.inputs import Input, InputType
from magic.values import check_value, is_empty

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)
MAX_BODY_CHARS = 20_000
MAX_YAML_CHARS = 50_000
_BOOL = "tag:yaml.org,2002:bool"
MOST_INPUTS = 40


class Category(StrEnum):
    """What an incoming message is about."""

    SUPPORT = "support"
    BUG = "bug"
    BILLING = "billing"
    SALES = "sales"
    MEETING = "meeting"
    FEEDBACK = "feedback"
    SPAM = "spam"
    OTHER = "other"


class Part(StrEnum):
    """A part of an incoming message."""

    CONTENT = "content"
    SUBJECT = "subject"
    FROM_EMAIL = "from_email"


class TriageHint(BaseModel):
    """When a template suits an incoming message, and which of its inputs are parts of that message."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    categories: tuple[Category, ...] = ()
    fill: dict[str, Part] = Field(default_factory=dict)


class Definition(BaseModel):
    """A prompt template: data alone, nothing of where it is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    version: Annotated[int, Field(ge=1)] = 1
    title: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(min_length=1, max_length=300)]
    inputs: Annotated[tuple[Input, ...], Field(max_length=MOST_INPUTS)] = ()
    body: Annotated[str, Field(min_length=1, max_length=MAX_BODY_CHARS)]
    triage: TriageHint = TriageHint()

    @model_validator(mode="after")
    def _inputs_are_known(self) -> Definition:
        types = {declared.id: declared.type for declared in self.inputs}
        if len(types) != len(self.inputs):
            raise ValueError("inputs: each id is there once")
        takes_text = {InputType.STRING, InputType.TEXT, InputType.EMAIL}
        if strangers := [name for name in self.triage.fill if types.get(name) not in takes_text]:
            raise ValueError(f"triage.fill: {', '.join(strangers)} is no input that takes text")
        for declared in self.inputs:
            _check_default(declared)
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of all that is not a default, but for the version: what tells whether somebody changed it."""
        content = self.model_dump(mode="json", exclude={"version"}, exclude_defaults=True)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse_definition(text: str) -> Definition:
    """From YAML. Raises ValueError with all that is wrong."""
    return make_definition(load_yaml(text))


def make_definition(values: Any) -> Definition:
    """From the values of a YAML document or a row. Raises ValueError with all that is wrong."""
    try:
        return Definition.model_validate(values)
    except ValidationError as error:
        raise ValueError("; ".join(_sentence(each) for each in error.errors())) from None


def load_yaml(text: str) -> Any:
    """The values of a YAML document, of plain types only. Raises ValueError naming the line."""
    if len(text) > MAX_YAML_CHARS:
        raise ValueError(f"is longer than {MAX_YAML_CHARS} characters")
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ValueError(f"is not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}{where}") from None


def dump_yaml(values: Any) -> str:
    """Values as YAML that people can edit."""
    dumped: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
    return dumped


class _Loader(yaml.SafeLoader):
    """Only true and false are booleans: "yes", "no" and "on" are words, in choices above all."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("(?:true|false)$"), ["t", "f"])


def _check_default(declared: Input) -> None:
    if is_empty(declared.default):
        return
    try:
        check_value(declared, declared.default)
    except ValueError as error:
        raise ValueError(f"{declared.id}: the default {error}") from None


def _sentence(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    rule = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {rule}" if place else rule
