"""Request bodies: JSON or form, at most 1 MiB, into one mapping of parameters. Pure but for the request."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from streaming.errors import BodyTooLarge, FieldError, InvalidRequest, UnsupportedBody

MAX_BODY_BYTES = 1024 * 1024
FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


def parameters(request: HttpRequest) -> dict[str, Any]:
    """The parameters of a request: its query, and over it those of its body. Raises Refusal."""
    return {**request.GET.dict(), **_body(request)}


def _body(request: HttpRequest) -> dict[str, Any]:
    if request.method != "POST":
        return {}
    try:
        if len(request.body) > MAX_BODY_BYTES:
            raise RequestDataTooBig
        if not request.body:
            return {}
        if request.content_type == "application/json":
            return _json(request.body)
        if request.content_type in FORM_TYPES:
            return dict(request.POST.dict())
    except RequestDataTooBig:
        raise BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.") from None
    except (MultiPartParserError, TooManyFieldsSent, UnreadablePostError, BadRequest):
        raise InvalidRequest(FieldError("body", "is not a well-formed form")) from None
    raise UnsupportedBody("Send application/json, or a form.")


def _json(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidRequest(FieldError("body", "is not well-formed JSON in UTF-8")) from None
    if not isinstance(values, dict):
        raise InvalidRequest(FieldError("body", "must be a JSON object"))
    return values


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
