"""An incoming message that is to be triaged, and what triage makes of it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from magic.definitions import Category, Definition, Part
from magic.inputs import Input, InputType
from magic.values import MAX_STRING_CHARS, check_value, check_values
from streaming.conf import settings
from streaming.errors import FieldError

MAX_SUBJECT_CHARS = 300

CONTENT = Input(id="content", label="Content", type=InputType.TEXT, required=True)
SUBJECT = Input.model_validate(
    {"id": "subject", "label": "Subject", "type": "string", "validators": {"max_length": MAX_SUBJECT_CHARS}}
)
FROM_EMAIL = Input(id="from_email", label="Sender", type=InputType.EMAIL)


class Priority(StrEnum):
    """How soon somebody should look at it."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came in. ``model`` is who is to judge it, None for the default."""

    content: str
    subject: str | None = None
    from_email: str | None = None
    model: str | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it: the same request again is answered with what is kept."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def headline(self) -> str:
        """The subject, else the first line."""
        first = next((line.strip() for line in self.content.splitlines() if line.strip()), "")
        return self.subject or (first if len(first) <= 80 else first[:79] + "…")

    @property
    def text(self) -> str:
        """As a model is shown it."""
        head = (("From", self.from_email), ("Subject", self.subject))
        return "".join(f"{name}: {value}\n" for name, value in head if value) + f"\n{self.content}"


class Verdict(BaseModel):
    """What triage says of a message."""

    category: Category
    priority: Priority
    summary: Annotated[str, Field(min_length=1, max_length=1000)]
    action_items: Annotated[list[Annotated[str, Field(min_length=1, max_length=500)]], Field(max_length=20)] = []
    reasons: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=10)] = []
    suggested_template: str | None = None
    inputs: dict[str, Any] = {}


def parse_message(values: Mapping[str, Any]) -> tuple[Message | None, list[FieldError]]:
    """The message of a request; None with all that is wrong with it."""
    given = {each.id: values.get(each.id) for each in (CONTENT, SUBJECT, FROM_EMAIL)}
    checked, errors = check_values((CONTENT, SUBJECT, FROM_EMAIL), given)
    if errors:
        return None, errors
    return Message(checked["content"], checked["subject"], checked["from_email"], values.get("model")), []


def parse_verdict(text: str, message: Message, templates: Mapping[str, Definition]) -> Verdict:
    """A model's answer. Raises ValueError with all that is wrong with it, in sentences that the model can follow."""
    try:
        verdict = Verdict.model_validate_json(_json_in(text))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['msg']}" for each in error.errors())
        raise ValueError(wrong[:2000]) from None
    if verdict.suggested_template is None:
        return verdict.model_copy(update={"inputs": {}})
    if (template := templates.get(verdict.suggested_template)) is None:
        raise ValueError("suggested_template: is none of the templates")
    inputs = {**verdict.inputs, **parts_for(template, message)}
    _, errors = check_values(template.inputs, inputs)
    if errors:
        raise ValueError("; ".join(f"inputs.{error.name}: {error.reason}" for error in errors)[:2000])
    return verdict.model_copy(update={"inputs": inputs})


def parts_for(template: Definition, message: Message) -> dict[str, Any]:
    """The parts of a message that a template takes as its inputs, cut to what they hold."""
    parts = {Part.CONTENT: message.content, Part.SUBJECT: message.headline, Part.FROM_EMAIL: message.from_email}
    declared = {each.id: each for each in template.inputs}
    filled = {name: _cut(declared[name], parts[part]) for name, part in template.triage.fill.items()}
    return {name: value for name, value in filled.items() if value}


def _cut(declared: Input, value: str | None) -> str | None:
    most = declared.validators.max_length or (
        settings.STREAM_MAX_MESSAGE_CHARS if declared.type is InputType.TEXT else MAX_STRING_CHARS
    )
    try:
        return None if value is None else str(check_value(declared, value[:most]))
    except ValueError:
        return None


def _json_in(text: str) -> str:
    """The JSON object in an answer that may have a fence, or a sentence, around it."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
