"""What a request asks for: parsed, checked, fingerprinted. Pure.

All bad parameters are told at once.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streaming.conf import settings
from streaming.errors import FieldError, InvalidRequest
from streaming.sse import parse_cursor

IDENTIFIER = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)
TEMPLATE = re.compile(r"[a-z][a-z0-9_]{0,59}(?:@[1-9][0-9]{0,8})?", re.ASCII)
"""The name of a prompt template, and its version where that is known."""
MAX_TEMPERATURE = 2.0
MOST_OUTPUT_TOKENS = 1_000_000
MAX_MODEL_CHARS = 200

ASKING_FIELDS = (
    "message",
    "model",
    "conversation_id",
    "parent_id",
    "from_start",
    "system",
    "temperature",
    "max_tokens",
)
"""The fields that say what is asked; two requests with the same of them are the same request."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to ``/api/v1/stream``.

    ``asked`` has the fields of ``ASKING_FIELDS`` that were supplied, parsed. ``after`` is the last event
    that the client has, -1 for none; ``resumes`` says that it claims to have received something.
    ``template`` is what a start was made from: it is kept, and no part of what is asked.
    """

    user_id: str | None = None
    stream_id: str | None = None
    after: int = -1
    resumes: bool = False
    template: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str | None:
        return self.asked.get("message")

    @property
    def system(self) -> str | None:
        return self.asked.get("system")

    @property
    def temperature(self) -> float | None:
        return self.asked.get("temperature")

    @property
    def max_tokens(self) -> int | None:
        return self.asked.get("max_tokens")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON of what is asked; an absent field stays absent."""
        canonical = json.dumps(self.asked, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def parse(
    values: Mapping[str, Any],
    last_event_id_header: str | None,
    *,
    needs_user_id: bool = False,
    knows_model: Callable[[str], bool] = lambda model: True,
) -> Ask:
    """Parse the parameters of a request; ``values`` may hold strings (of a query) or JSON values.

    ``needs_user_id``: the request carries no identity of its own. Raises InvalidRequest.
    """
    errors: list[FieldError] = []
    given: dict[str, Any] = {}
    for name, rule in _RULES.items():
        value = values.get(name)
        if value is None:
            continue
        try:
            given[name] = rule(value)
        except ValueError as error:
            errors.append(FieldError(name, str(error)))
    if "model" in given and not knows_model(given["model"]):
        errors.append(FieldError("model", "is not one that a provider is known for; see /api/v1/models"))
    if given.get("from_start") and "parent_id" in given:
        errors.append(FieldError("from_start", "must not be true with a parent_id"))
    header = _header_cursor(last_event_id_header, errors)
    if needs_user_id and values.get("user_id") is None:
        errors.append(FieldError("user_id", "is required where the request carries no identity"))
    if "stream_id" not in given and values.get("stream_id") is None:
        if last_event_id_header is not None:
            errors.append(FieldError("stream_id", "is required with Last-Event-ID"))
        elif given.get("last_event_id", -1) >= 0:
            errors.append(FieldError("stream_id", "is required with last_event_id"))
        if values.get("message") is None:
            errors.append(FieldError("message", "is required to start a stream"))
    if errors:
        raise InvalidRequest(*errors)
    after = max(given.get("last_event_id", -1), header)
    return Ask(
        user_id=given.get("user_id"),
        stream_id=given.get("stream_id"),
        after=after,
        resumes=last_event_id_header is not None or after >= 0,
        template=given.get("template"),
        asked={name: given[name] for name in ASKING_FIELDS if name in given},
    )


def identifier(value: Any) -> str:
    """A ``user_id``, ``stream_id`` or ``conversation_id``. Raises ValueError with the rule."""
    if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
        raise ValueError("must match [A-Za-z0-9_.:-]{1,128}")
    return value


def checked(name: str, value: Any) -> str:
    """An identifier of its own. Raises InvalidRequest, naming the parameter."""
    try:
        return identifier(value)
    except ValueError as error:
        raise InvalidRequest(FieldError(name, str(error))) from None


def _header_cursor(header: str | None, errors: list[FieldError]) -> int:
    if header is None or not header.strip():
        return -1
    cursor = parse_cursor(header.strip())
    if cursor is None:
        errors.append(FieldError("Last-Event-ID", "must be an integer, -1 or more"))
        return -1
    return cursor


def _cursor(value: Any) -> int:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    cursor = parse_cursor(text) if isinstance(text, str) and len(text) < 40 else None
    if cursor is None:
        raise ValueError("must be an integer, -1 or more")
    return cursor


def _text(value: Any) -> str:
    limit = settings.STREAM_MAX_MESSAGE_CHARS
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a string that is not empty")
    if len(value) > limit:
        raise ValueError(f"must be at most {limit} characters long")
    if _UNSTORABLE.search(value):
        raise ValueError("must not contain NUL or a lone surrogate")
    return value


def _model(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_MODEL_CHARS or not value.isprintable():
        raise ValueError(f"must be a model's name of at most {MAX_MODEL_CHARS} characters")
    return value


def _template(value: Any) -> str:
    if not isinstance(value, str) or not TEMPLATE.fullmatch(value):
        raise ValueError("must be a template's name, or name@version")
    return value


def _temperature(value: Any) -> float:
    rule = f"must be a number from 0 to {MAX_TEMPERATURE:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or len(str(value)) > 40:
        raise ValueError(rule)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError(rule)
    number = float(value)
    if not math.isfinite(number) or not 0 <= number <= MAX_TEMPERATURE:
        raise ValueError(rule)
    return abs(number)


def _max_tokens(value: Any) -> int:
    rule = f"must be an integer from 1 to {MOST_OUTPUT_TOKENS}"
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(rule)
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        raise ValueError(rule)
    if not 1 <= int(value) <= MOST_OUTPUT_TOKENS:
        raise ValueError(rule)
    return int(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "1", "false", "0"):
        return value in ("true", "1")
    raise ValueError("must be true or false")


_RULES: dict[str, Callable[[Any], Any]] = {
    "user_id": identifier,
    "message": _text,
    "model": _model,
    "stream_id": identifier,
    "last_event_id": _cursor,
    "conversation_id": identifier,
    "parent_id": identifier,
    "from_start": _flag,
    "system": _text,
    "temperature": _temperature,
    "max_tokens": _max_tokens,
    "template": _template,
}
