"""What is put into a template, checked against its declared inputs (see ``inputs``). Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import EmailValidator, URLValidator
from pydantic import ValidationError

from magic.inputs import Input, InputType, pattern_of
from streaming.conf import settings
from streaming.errors import FieldError

MAX_STRING_CHARS = 500
MAX_URL_CHARS = 2000
MAX_EMAIL_CHARS = 320
MOST_STRANGERS = 20
"""Names of no input that are told one by one."""
LARGEST_INT = 10**15 - 1

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")
_INT = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_BOOLS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def check_values(inputs: Sequence[Input], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
    """The values that a template is rendered with, and all that is wrong with those that were given.

    What is left out or null is the default; an empty string or list says that nothing is wanted, not even that.
    Nothing is None (an empty list for ``multi-enum``, False for ``bool``). Dates stay ISO 8601 strings.
    """
    checked: dict[str, Any] = {}
    strangers = sorted(values.keys() - {declared.id for declared in inputs})[:MOST_STRANGERS]
    errors = [FieldError(shown(name), "is not an input of this template") for name in strangers]
    for declared in inputs:
        value = values.get(declared.id)
        value = declared.default if value is None else value
        try:
            if is_empty(value):
                if declared.required:
                    raise ValueError("is required")
                checked[declared.id] = _NOTHING.get(declared.type)
            else:
                checked[declared.id] = check_value(declared, value)
        except ValueError as error:
            errors.append(FieldError(declared.id, str(error)))
    return checked, sorted(errors, key=lambda error: error.name)


def check_value(declared: Input, value: Any) -> Any:
    """The value as a template gets it. Raises ValueError with the rule that it breaks."""
    return _CHECKS[declared.type](declared, value)


def example(declared: Input) -> Any:
    """A value to show a template with: the default, else something of the type."""
    if not is_empty(declared.default):
        return check_value(declared, declared.default)
    choices = list(declared.enum or ())
    made = {
        InputType.STRING: declared.label,
        InputType.TEXT: f"{declared.label}: the first line.\n\nAnd another one.",
        InputType.INT: declared.validators.min or 1,
        InputType.FLOAT: declared.validators.min or 1.5,
        InputType.BOOL: True,
        InputType.DATE: str(declared.validators.min or "2026-01-31"),
        InputType.ENUM: choices[:1] and choices[0],
        InputType.MULTI_ENUM: choices[: declared.validators.max_items],
        InputType.EMAIL: "dana@example.com",
        InputType.URL: "https://example.com/",
    }
    return made[declared.type]


def shown(name: str) -> str:
    """A name that somebody made up, short enough for an error."""
    return name if len(name) <= 60 else name[:59] + "…"


def is_empty(value: Any) -> bool:
    """Whether this is how one says that nothing was put in."""
    return value is None or value == [] or value == () or (isinstance(value, str) and not value.strip())


_NOTHING: dict[InputType, Any] = {InputType.MULTI_ENUM: [], InputType.BOOL: False}


def _characters(value: Any, most: int) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if len(value) > most:
        raise ValueError(f"must be at most {most} characters long")
    if _UNPRINTABLE.search(value):
        raise ValueError("must not contain control characters")
    return value


def _string(declared: Input, value: Any) -> str:
    text = _measured(declared, _characters(value, declared.validators.max_length or MAX_STRING_CHARS).strip())
    if _LINE_BREAK.search(text):
        raise ValueError("must be one line")
    return text


def _text(declared: Input, value: Any) -> str:
    most = declared.validators.max_length or settings.STREAM_MAX_MESSAGE_CHARS
    return _measured(declared, _characters(value, most).replace("\r\n", "\n").replace("\r", "\n"))


def _measured(declared: Input, text: str) -> str:
    least, pattern = declared.validators.min_length, declared.validators.pattern
    if least is not None and len(text) < least:
        raise ValueError(f"must be at least {least} characters long")
    if pattern is not None:
        try:
            pattern_of(pattern).validate_python(text)
        except ValidationError:
            raise ValueError(f"must match {pattern}") from None
    return text


def _int(declared: Input, value: Any) -> int:
    if isinstance(value, str) and _INT.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST_INT:
        raise ValueError("must be a whole number")
    _check_bounds(declared, value)
    return value


def _float(declared: Input, value: Any) -> float:
    if isinstance(value, str) and _FLOAT.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("must be a number")
    if (isinstance(value, int) and abs(value) > LARGEST_INT) or not math.isfinite(value):
        raise ValueError("must be a finite number of ordinary size")
    _check_bounds(declared, value)
    return value


def _bool(declared: Input, value: Any) -> bool:
    if isinstance(value, str):
        value = _BOOLS.get(value.strip().lower())
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _date(declared: Input, value: Any) -> str:
    try:
        # A date of YAML is a date already.
        day = value if type(value) is date else date.fromisoformat(value.strip() if _is_date(value) else "")
    except ValueError:
        raise ValueError("must be a date, YYYY-MM-DD") from None
    _check_bounds(declared, day)
    return day.isoformat()


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and _DATE.fullmatch(value.strip()) is not None


def _check_bounds(declared: Input, value: Any) -> None:
    least, most = declared.validators.min, declared.validators.max
    if least is not None and value < least:
        raise ValueError(f"must be {least} or {'later' if isinstance(least, date) else 'more'}")
    if most is not None and value > most:
        raise ValueError(f"must be {most} or {'earlier' if isinstance(most, date) else 'less'}")


def _enum(declared: Input, value: Any) -> str:
    choices = declared.enum or ()
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"must be one of: {', '.join(choices)}")
    return value


def _multi_enum(declared: Input, value: Any) -> list[str]:
    choices, rules = declared.enum or (), declared.validators
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) and each in choices for each in value):
        raise ValueError(f"must be a list of some of: {', '.join(choices)}")
    if len(set(value)) != len(value):
        raise ValueError("must have each choice once")
    if rules.min_items is not None and len(value) < rules.min_items:
        raise ValueError(f"must have at least {rules.min_items} choices")
    if rules.max_items is not None and len(value) > rules.max_items:
        raise ValueError(f"must have at most {rules.max_items} choices")
    return [choice for choice in choices if choice in value]


def _email(declared: Input, value: Any) -> str:
    return _validated(EmailValidator("must be an e-mail address"), _characters(value, MAX_EMAIL_CHARS).strip())


def _url(declared: Input, value: Any) -> str:
    validator = URLValidator(schemes=["http", "https"], message="must be an address that begins with http or https")
    return _validated(validator, _characters(value, MAX_URL_CHARS).strip())


def _validated(validator: Callable[[Any], None], text: str) -> str:
    try:
        validator(text)
    except DjangoValidationError as error:
        raise ValueError(error.messages[0]) from None
    return text


_CHECKS: dict[InputType, Callable[[Input, Any], Any]] = {
    InputType.STRING: _string,
    InputType.TEXT: _text,
    InputType.INT: _int,
    InputType.FLOAT: _float,
    InputType.BOOL: _bool,
    InputType.DATE: _date,
    InputType.ENUM: _enum,
    InputType.MULTI_ENUM: _multi_enum,
    InputType.EMAIL: _email,
    InputType.URL: _url,
}
