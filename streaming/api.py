"""The JSON endpoints, described at ``/api/docs``. ``/api/v1/stream`` itself is in ``views``."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from inspect import iscoroutinefunction
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import reverse
from ninja import NinjaAPI, Schema
from ninja.errors import ValidationError
from pydantic import AwareDatetime, Field

from streaming import conversations, telemetry
from streaming import identity as identities
from streaming.addresses import hashed_address
from streaming.bodies import READ_TYPES, beacon, parameters
from streaming.claims import Owner
from streaming.engine import Engine
from streaming.errors import ConversationNotFound, FieldError, InvalidRequest, StreamNotFound
from streaming.models import Scope, Stream
from streaming.openapi import NOT_BLANK, complete, telemetry_operation
from streaming.params import IDENTIFIER, checked
from streaming.pricelist import prices_of
from streaming.pricing import Prices, usd_per_million
from streaming.providers import registry
from streaming.providers.base import Model
from streaming.responses import json_response, not_allowed, problem
from streaming.snapshots import snapshots
from streaming.usage import usage
from streaming.version import VERSION
from streaming.views import failure, identity_of, not_found, started


class API(NinjaAPI):
    """Answers that no cache keeps, and problem+json also where there is no such path or method."""

    @property
    def urls(self) -> tuple[list[Any], str, str]:
        patterns, app_name, namespace = super().urls
        for pattern in patterns:
            if getattr(pattern, "name", None) == "api-root":
                pattern.callback = not_found
            elif iscoroutinefunction(pattern.callback):
                pattern.callback = _methods_as_problems(pattern.callback)
        return patterns, app_name, namespace

    def get_openapi_schema(self, **options: Any) -> Any:
        schema = super().get_openapi_schema(**options)
        complete(schema, reverse("streaming:stream"))
        return schema

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        response = super().create_temporal_response(request)
        response.headers["Cache-Control"] = "no-store"
        return response


def _methods_as_problems(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    async def answer(request: HttpRequest, **named: Any) -> HttpResponseBase:
        response: HttpResponseBase = await view(request, **named)
        if isinstance(response, HttpResponseNotAllowed):
            return not_allowed(*sorted(response.headers["Allow"].split(", ")))
        return response

    return answer


api = API(
    title="Magic",
    version=VERSION,
    description="Durable, resumable streams of LLM answers. `/api/v1/stream` is described in docs/PROTOCOL.md.",
    urls_namespace="streaming:api",
)

RENAME = {
    "type": "object",
    "required": ["title"],
    "properties": {
        "title": {"type": ["string", "null"], "pattern": NOT_BLANK, "maxLength": conversations.MAX_TITLE_CHARS}
    },
}

reports = telemetry.Turnstile(time.monotonic)

Identifier = Annotated[str | None, Field(pattern=f"^{IDENTIFIER.pattern}$")]


class StreamFacts(Schema):
    """A stream without its text. Amounts are USD, times ISO 8601 in UTC, ``*_ms`` milliseconds."""

    stream_id: str
    user_id: str
    conversation_id: str | None
    parent_id: str | None
    continues: str | None
    model: str
    provider: str
    status: str
    message: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    total_cost: float | None
    cost_state: str
    latency_ms: int | None
    first_token_ms: int | None
    created_at: datetime
    finished_at: datetime | None
    finish_reason: str | None
    error_type: str | None
    error: str | None
    pruned_at: datetime | None


class Snapshot(StreamFacts):
    """A stream; ``text`` is exactly that of the events up to ``last_event_id``, -1 for none. Of a live one
    ``completion_tokens`` and ``cost_so_far`` are by our count of these events; the ledger's come with its end."""

    text: str
    last_event_id: int
    cost_so_far: float | None = None


class StreamPage(Schema):
    """One's own streams, newest first; ``next`` is the ``before`` of the next page."""

    streams: list[StreamFacts]
    next: str | None


class ConversationOut(Schema):
    """A conversation. ``title`` is by default the beginning of the first message; ``total_cost`` the sum of the
    costs that are known, null where none is."""

    conversation_id: str
    title: str
    created_at: datetime
    updated_at: datetime
    streams: int
    total_cost: float | None
    last_message: str | None


class ConversationPage(Schema):
    """One's own conversations, the one with the newest message first; ``next`` is the ``before`` of the next page."""

    conversations: list[ConversationOut]
    next: str | None


class UsageOut(Schema):
    """``total_cost`` sums the costs that are known, null where none is; ``estimated`` of the streams have one by our
    own count, ``unknown`` have none."""

    since: datetime
    streams: int
    prompt_tokens: int
    completion_tokens: int
    total_cost: float | None
    estimated: int
    unknown: int


class PricesOut(Schema):
    """USD per million tokens, as billed now."""

    input: float
    output: float
    cached_input: float
    cache_write: float


class ModelOut(Schema):
    """A model that can be used now."""

    id: str
    provider: str
    prices: PricesOut | None
    context_window: int | None


class ModelsOut(Schema):
    models: list[ModelOut]


class SessionOut(Schema):
    user_id: str


@api.post("/v1/anon_session", response=SessionOut, summary="A new anonymous identity")
async def anon_session(request: HttpRequest) -> HttpResponseBase:
    """Sets a signed cookie and answers its ``user_id``."""
    identities.refuse_other_origins(request)
    user_id = identities.new_anonymous()
    response = json_response({"user_id": user_id})
    identities.remember(response, user_id, secure=request.is_secure())
    return response


@api.get("/v1/models", response=ModelsOut, summary="The models that can be used now")
async def models(request: HttpRequest) -> dict[str, Any]:
    """Their providers, prices and context windows, the default first."""
    engine = await started()
    usable = [model for provider in registry.configured() for model in provider.models()]
    prices = await engine.store.read(prices_of, usable)
    return {"models": [_describe(model, own) for model, own in zip(usable, prices, strict=True)]}


@api.get("/v1/streams", response=StreamPage, summary="One's own streams, newest first")
async def list_streams(
    request: HttpRequest,
    user_id: Identifier = None,
    conversation_id: Identifier = None,
    q: Annotated[str, Field(max_length=200)] = "",
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    before: Identifier = None,
) -> dict[str, Any]:
    """``q`` searches the messages; ``before`` is the ``next`` of the page before."""
    owner, engine = await _owner(request, user_id, Scope.READ)
    query = q.replace("\0", "")
    try:
        return await engine.store.read_long(
            snapshots, owner, limit=limit, before=before, conversation_id=conversation_id, query=query
        )
    except Stream.DoesNotExist:
        raise InvalidRequest(FieldError("before", "is not the next of a page before")) from None


@api.get("/v1/streams/{stream_id}", response=Snapshot, summary="What is true of a stream now")
async def get_stream(request: HttpRequest, stream_id: str, user_id: Identifier = None) -> dict[str, Any]:
    """The snapshot of one of one's own streams; of a pruned one, what is kept."""
    owner, engine = await _owner(request, user_id, Scope.READ)
    found = await engine.snapshot(owner, stream_id) if IDENTIFIER.fullmatch(stream_id) else None
    if found is None:
        raise StreamNotFound
    return found


@api.get("/v1/usage", response=UsageOut, summary="What one has used since some time")
async def get_usage(request: HttpRequest, since: AwareDatetime, user_id: Identifier = None) -> dict[str, Any]:
    """Tokens and costs of one's own streams that were started at ``since`` or later, deleted ones too."""
    owner, engine = await _owner(request, user_id, Scope.READ)
    return await engine.store.read_long(usage, owner, since)


@api.get("/v1/conversations", response=ConversationPage, summary="One's own conversations, newest first")
async def list_conversations(
    request: HttpRequest,
    user_id: Identifier = None,
    q: Annotated[str, Field(max_length=200)] = "",
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    before: Annotated[str | None, Field(pattern=f"^{conversations.CURSOR.pattern}$")] = None,
) -> dict[str, Any]:
    """``q`` searches titles and messages; ``before`` is the ``next`` of the page before."""
    owner, engine = await _owner(request, user_id, Scope.READ)
    query = q.replace("\0", "")
    return await engine.store.read_long(conversations.page, owner, limit=limit, before=before, query=query)


@api.patch(
    "/v1/conversations/{conversation_id}",
    response=ConversationOut,
    summary="Give a conversation a title",
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": RENAME}}}},
)
async def rename_conversation(request: HttpRequest, conversation_id: str, user_id: Identifier = None) -> dict[str, Any]:
    """``title``: null for the default again. ``user_id`` may stand in the body."""
    values = parameters(request)
    if user_id is None and values.get("user_id") is not None:
        user_id = checked("user_id", values["user_id"])
    title = _title(values)
    owner, engine = await _owner(request, user_id, Scope.STREAM)
    renaming = conversations.Renaming(owner, conversation_id, title)
    if not IDENTIFIER.fullmatch(conversation_id) or not await engine.store.write(conversations.rename_all, renaming):
        raise ConversationNotFound
    return await engine.store.read(conversations.described, owner, conversation_id) or {}


@api.delete(
    "/v1/conversations/{conversation_id}", response={204: None, 202: None}, summary="Forget a conversation's text"
)
async def erase_conversation(
    request: HttpRequest, conversation_id: str, user_id: Identifier = None
) -> tuple[int, None]:
    """Messages, answers and the title go; ids, counts and costs stay. Live streams are cancelled first. Idempotent.

    Answers 204 when it is done; 202 where a stream's producer is dead: then it is done once that is closed.
    """
    owner, engine = await _owner(request, user_id, Scope.STREAM)
    if not IDENTIFIER.fullmatch(conversation_id):
        raise ConversationNotFound
    return 204 if await engine.erase(owner, conversation_id) else 202, None


@api.delete("/v1/stream/{stream_id}", response={200: Snapshot, 202: Snapshot}, summary="Cancel a stream")
async def cancel(request: HttpRequest, stream_id: str, user_id: Identifier = None) -> tuple[int, dict[str, Any]]:
    """Ends it with `done`, `cancelled`, whichever process produces it. Idempotent: a closed stream stays as it is.

    Answers after the terminal event, with 200; where that takes more than 5 seconds, with 202 before it.
    """
    return await _cancel(request, stream_id, user_id)


@api.post("/v1/stream/{stream_id}/cancel", response={200: Snapshot, 202: Snapshot}, summary="Cancel, as a POST")
async def post_cancel(request: HttpRequest, stream_id: str, user_id: Identifier = None) -> tuple[int, dict[str, Any]]:
    """As `DELETE`, for forms and beacons; `user_id` may stand in a form or JSON body."""
    if user_id is None and request.content_type in READ_TYPES:
        given = parameters(request).get("user_id")
        user_id = None if given is None else checked("user_id", given)
    return await _cancel(request, stream_id, user_id)


@api.post(
    "/v1/telemetry",
    response={204: None},
    summary="What a client saw of its connections",
    openapi_extra=telemetry_operation(),
)
async def report(request: HttpRequest) -> tuple[int, None]:
    """Counted, and not kept: no user, stream or text. Needs no identity, and is for pages of this site.

    At most 120 reports a minute of one address, of at most 8 KiB each. Takes what `navigator.sendBeacon` sends.
    """
    identities.refuse_foreign_sites(request, None)
    reports.enter(hashed_address(request))
    telemetry.record(telemetry.parse(beacon(request)))
    return 204, None


@api.exception_handler(ValidationError)
def refuse_parameters(request: HttpRequest, invalid: ValidationError) -> HttpResponse:
    """Bad parameters, all at once."""
    return problem(InvalidRequest(*(FieldError(str(e["loc"][-1]), str(e["msg"])) for e in invalid.errors)))


@api.exception_handler(Exception)
def fail(request: HttpRequest, error: Exception) -> HttpResponse:
    """Refusals, and whatever else is raised."""
    return failure(request, error)


async def _cancel(request: HttpRequest, stream_id: str, user_id: str | None) -> tuple[int, dict[str, Any]]:
    owner, engine = await _owner(request, user_id, Scope.STREAM)
    if not IDENTIFIER.fullmatch(stream_id):
        raise StreamNotFound
    closed = await engine.cancel(owner, stream_id)
    shown = await engine.snapshot(owner, stream_id)
    if shown is None:
        raise StreamNotFound  # a login has just taken it along
    return 200 if closed else 202, shown


async def _owner(request: HttpRequest, user_id: str | None, scope: Scope) -> tuple[Owner, Engine]:
    engine = await started()
    identity = await identity_of(request, engine)
    if identity is not None and identity.user_id is None and user_id is None:
        raise InvalidRequest(FieldError("user_id", "is required where the request carries no identity"))
    owner = identities.owner(identity, user_id, scope)
    if scope is Scope.STREAM:
        identities.refuse_foreign_sites(request, identity)
    return owner, engine


def _title(values: dict[str, Any]) -> str | None:
    if "title" not in values:
        raise InvalidRequest(FieldError("title", "is required; null for the default"))
    try:
        return conversations.parse_title(values["title"])
    except ValueError as error:
        raise InvalidRequest(FieldError("title", str(error))) from None


def _describe(model: Model, prices: Prices | None) -> dict[str, Any]:
    return {
        "id": model.id,
        "provider": model.provider,
        "prices": None
        if prices is None
        else {
            name: float(usd_per_million(getattr(prices, name)))
            for name in ("input", "output", "cached_input", "cache_write")
        },
        "context_window": model.context_window,
    }
