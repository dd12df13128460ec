"""Request bodies: JSON or form, at most 1 MiB, into one mapping of parameters. Pure but for the request."""

from __future__ import annotations

import json
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from streaming.errors import BodyTooLarge, FieldError, InvalidRequest, UnsupportedBody

MAX_BODY_BYTES = 1024 * 1024
MAX_FIELDS = 1000
MAX_BEACON_BYTES = 8 * 1024
JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
TEXT = "text/plain"


READ_TYPES = frozenset({JSON, FORM, MULTIPART})


def parameters(request: HttpRequest) -> dict[str, Any]:
    """The parameters of a request: its query, and over it those of its body. Raises Refusal."""
    return {**_pairs(request.META.get("QUERY_STRING", ""), "query"), **_body(request)}


def beacon(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that a browser's ``sendBeacon`` has sent, as JSON or as a plain text. Raises Refusal."""
    try:
        if len(request.body) > MAX_BEACON_BYTES:
            raise RequestDataTooBig
    except RequestDataTooBig:
        raise BodyTooLarge(f"The body is larger than {MAX_BEACON_BYTES} bytes.") from None
    except UnreadablePostError:
        raise InvalidRequest(FieldError("body", "was not received whole")) from None
    if request.content_type not in {JSON, TEXT}:
        raise UnsupportedBody("Send application/json, or text/plain that is JSON.")
    return _json(request.body)


def _body(request: HttpRequest) -> dict[str, Any]:
    if request.method not in {"POST", "PATCH"}:
        return {}
    try:
        if len(request.body) > MAX_BODY_BYTES:
            raise RequestDataTooBig
        if not request.body:
            return {}
        if request.content_type == JSON:
            return _json(request.body)
        if request.content_type == FORM:
            return _pairs(_text(request.body, "form"), "body")
        if request.content_type == MULTIPART and request.method == "POST":
            # Whatever charset the client names: Python has codecs of that name that make no text.
            request.encoding = "utf-8"
            return dict(request.POST.dict())
    except RequestDataTooBig:
        raise BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.") from None
    except (MultiPartParserError, SuspiciousOperation, UnreadablePostError, BadRequest):
        raise InvalidRequest(FieldError("body", "is not a well-formed form")) from None
    raise UnsupportedBody("Send application/json, or a form.")


def _json(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(_text(body, "JSON"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidRequest(FieldError("body", "is not well-formed JSON")) from None
    if not isinstance(values, dict):
        raise InvalidRequest(FieldError("body", "must be a JSON object"))
    return values


def _pairs(encoded: str, name: str) -> dict[str, Any]:
    """URL-encoded parameters. Bytes that are not UTF-8 are refused: a prompt is never changed in silence."""
    try:
        return dict(parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        rule = f"is not a well-formed form in UTF-8 of at most {MAX_FIELDS} fields"
        raise InvalidRequest(FieldError(name, rule)) from None


def _text(body: bytes, kind: str) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(FieldError("body", f"is not {kind} in UTF-8")) from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
