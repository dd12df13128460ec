"""The OpenAPI description of what the framework does not see: ``/api/v1/stream``, refusals, and who may ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streaming.conf import settings
from streaming.events import EventType
from streaming.identity import COOKIE
from streaming.params import MAX_MODEL_CHARS, MAX_TEMPERATURE, MOST_OUTPUT_TOKENS, TEMPLATE
from streaming.telemetry import COUNTS, LONGEST_MS, MOST_COUNTED, MOST_TIMES, TIMES

NOT_BLANK = r"\S"
IDENTIFIER = {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"}
EVENT = {
    "description": "One event of the stream; `data` is JSON, by the kind of the event.",
    "type": "object",
    "properties": {
        "event": {"enum": [kind.wire_name for kind in EventType]},
        "id": {"type": "string", "pattern": "^(-1|0|[1-9][0-9]*)$"},
        "retry": {"type": "integer"},
        "data": {"type": "string"},
    },
}
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "error_type"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error_type": {"type": "string"},
        "latest_event_id": {"type": "integer", "description": "With `ahead_of_log`: the log's end."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "reason"],
                "properties": {"name": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
    },
}
REFUSALS = {
    "400": "A bad or missing parameter; all of them are named.",
    "401": "No identity where one is required.",
    "403": "An identity that may not act for this `user_id`, or a request of another site.",
    "404": "No such stream, to this owner.",
    "409": "`conflict`: the same `stream_id`, another request; `ahead_of_log`: a cursor beyond the end; "
    "`not_continuable`: the answer to continue is complete, or still being written.",
    "410": "The stream's events were pruned.",
    "413": "A body of more than 1 MiB.",
    "415": "A body that is neither JSON nor a form.",
    "429": "A limit was reached; `Retry-After` tells when to try again.",
    "503": "No provider is configured for the model, or the server is full or shutting down.",
}


JSON_REFUSALS = ("400", "401", "403", "503")
BODY_REFUSALS = ("413", "415")

SECURITY_SCHEMES = {
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Of `POST /api/v1/anon_session`."},
    "key": {"type": "http", "scheme": "bearer", "description": "An API key; it names the `user_id` it acts for."},
}


def complete(schema: dict[str, Any], stream_path: str) -> None:
    """Add to the framework's description what it does not see."""
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["securitySchemes"] = SECURITY_SCHEMES
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            _add_refusals(operation, in_path="{" in path)
    schema["paths"][stream_path] = _stream_operations()


def _add_refusals(operation: dict[str, Any], *, in_path: bool) -> None:
    """A route that names something in its path may not find it; one that reads a body may not like it."""
    bodies = BODY_REFUSALS if "requestBody" in operation else ()
    statuses = (*JSON_REFUSALS, *(("404",) if in_path else ()), *bodies)
    operation["responses"] = {**_problems(statuses), **operation["responses"]}


def problems(sentences: Mapping[str, str]) -> dict[Any, Any]:
    """Refusals of an operation: a status, and when it comes."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": sentence, "content": content} for status, sentence in sentences.items()}


def _problems(statuses: Iterable[str]) -> dict[str, Any]:
    return problems({status: REFUSALS[status] for status in statuses})


def _stream_operations() -> dict[str, Any]:
    """The path item of the stream endpoint: GET with a query, POST with a body."""
    return {"get": _operation("get"), "post": {**_operation("post"), "requestBody": _body()}}


def telemetry_operation() -> dict[str, Any]:
    """The body of a client's report, and the refusal of one too many."""
    count = {"type": "integer", "minimum": 0, "maximum": MOST_COUNTED, "default": 0}
    ms = {"type": "number", "minimum": 0, "maximum": LONGEST_MS}
    times = {
        "description": "From each loss to the next event; a single number may stand alone.",
        "oneOf": [{"type": "array", "items": ms, "maxItems": MOST_TIMES}, ms],
    }
    counts = {name: {**count, "description": text} for name, text in COUNTS.items()}
    schema = {"type": "object", "properties": {**counts, TIMES: times}}
    body = {"required": True, "content": {kind: {"schema": schema} for kind in ("application/json", "text/plain")}}
    return {"requestBody": body, "responses": _problems(["429"])}


def _fields() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "pattern": NOT_BLANK, "maxLength": settings.STREAM_MAX_MESSAGE_CHARS}
    return {
        "user_id": {**IDENTIFIER, "description": "Who asks; left out where the request carries an identity."},
        "message": {**text, "description": "The prompt. Needed to start (or `continues`), not to attach."},
        "model": {"type": "string", "minLength": 1, "maxLength": MAX_MODEL_CHARS, "description": "See /api/v1/models."},
        "stream_id": {**IDENTIFIER, "description": "Made by the server when left out."},
        "last_event_id": {"type": "integer", "minimum": -1, "description": "The last event that the client has."},
        "conversation_id": IDENTIFIER,
        "parent_id": {**IDENTIFIER, "description": "The `stream_id` whose answer this message follows."},
        "from_start": {"type": "boolean", "description": "The message follows nothing: another beginning."},
        "continues": {
            **IDENTIFIER,
            "description": "The `stream_id` of an answer that ended before its end: this one goes on from there. The "
            "message and the conversation are its, and so are the model and the parameters that are left out.",
        },
        "system": text,
        "temperature": {"type": "number", "minimum": 0, "maximum": MAX_TEMPERATURE},
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": MOST_OUTPUT_TOKENS},
        "template": {
            "type": "string",
            "pattern": f"^{TEMPLATE.pattern}$",
            "description": "The prompt template that the message was made from, as `name` or `name@version`: kept "
            "beside the costs, and no part of what is asked.",
        },
    }


def _in_query(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the bound of a text: servers cut an address off long before it."""
    return {name: value for name, value in schema.items() if name != "maxLength" or "pattern" not in schema}


def _body() -> dict[str, Any]:
    schema = {"type": "object", "properties": _fields()}
    kinds = ("application/json", "application/x-www-form-urlencoded")
    return {"required": False, "content": {kind: {"schema": schema} for kind in kinds}}


def _operation(method: str) -> dict[str, Any]:
    query = [{"name": name, "in": "query", "schema": _in_query(schema)} for name, schema in _fields().items()]
    header = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string", "pattern": "^(-1|[0-9]{1,30})?$"}}
    stream, shown = {"schema": EVENT}, {"schema": {"$ref": "#/components/schemas/Snapshot"}}
    answers: dict[str, Any] = {
        "200": {
            "description": "The events after the cursor, as `text/event-stream`; of a POST that accepts only JSON, "
            "the snapshot of a stream that was known.",
            "content": {"text/event-stream": stream, "application/json": shown},
        },
        "204": {"description": "The stream is closed, and the client has all of it."},
    }
    if method == "post":
        started = "Started; the snapshot, where the client accepts only JSON."
        answers["201"] = {"description": started, "content": {"application/json": shown}}
    return {
        "operationId": f"{method}_stream",
        "summary": "Start, attach or resume",
        "description": "An unknown `stream_id` with a `message`, or with `continues`, starts; a known one with the "
        "same request, or without either, attaches. Each event has an id; a reader resumes after `last_event_id`.",
        "parameters": [*query, header],
        "responses": {**answers, **_problems(REFUSALS)},
    }
