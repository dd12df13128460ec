"""``/api/v1/stream``: start, attach or resume. A plain asynchronous view; the rest of the API is in ``api``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from streaming import identity as identities
from streaming import lifecycle
from streaming.addresses import hashed_address
from streaming.adoption import adopt_all
from streaming.bodies import parameters
from streaming.claims import Owner
from streaming.engine import Engine, Opened
from streaming.errors import IdentityRequired, NoSuchResource, Refusal, Unavailable
from streaming.identity import Identity
from streaming.journal import count_saved_call, log_resume
from streaming.models import Scope
from streaming.params import parse
from streaming.providers import registry
from streaming.responses import (
    EventStreamResponse,
    http_version,
    internal_error,
    json_response,
    no_content,
    not_allowed,
    problem,
)
from streaming.sse import OPENING, UNDISPATCHED_ID
from streaming.store import StoreClosed

logger = logging.getLogger("streaming.views")

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

START_SECONDS = 3
"""How long a request waits for the engine to start, which needs the database."""


def refusals_as_problems(view: View) -> Callable[..., Any]:
    """Answer a Refusal as problem+json, and anything else that is raised as a 500 that tells nothing."""

    @wraps(view)
    async def guarded(request: HttpRequest) -> HttpResponseBase:
        try:
            return await view(request)
        except Exception as error:
            return failure(request, error)

    guarded.csrf_exempt = True  # type: ignore[attr-defined]  # refuse_foreign_sites takes its place
    return guarded


def failure(request: HttpRequest, error: Exception) -> JsonResponse:
    """The problem+json of whatever a view raised."""
    if isinstance(error, Refusal):
        return problem(error)
    if isinstance(error, StoreClosed):
        return problem(Unavailable("The server is shutting down; try again.", retry_after=5))
    names = {"request_id": request_id_of(request), "error": type(error).__name__}
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.warning("database out of reach", extra=names)
        return problem(Unavailable("The database is out of reach; try again.", retry_after=5))
    logger.error("request failed", extra=names, exc_info=error)
    return internal_error()


@refusals_as_problems
async def stream(request: HttpRequest) -> HttpResponseBase:
    """Start a stream, attach to it, or resume after ``last_event_id``. See docs/PROTOCOL.md."""
    if request.method not in {"GET", "POST"}:
        return not_allowed("GET", "POST")
    identities.refuse_foreign_hosts(request)
    engine = await started()
    identity, unidentified = await identity_or_refusal(request, engine)
    ask = parse(
        parameters(request),
        request.headers.get("Last-Event-ID"),
        needs_user_id=identity is not None and identity.user_id is None,
        knows_model=registry.knows,
    )
    if unidentified is not None:
        raise unidentified
    owner = identities.owner(identity, ask.user_id, Scope.STREAM)
    if ask.asks:
        identities.refuse_foreign_sites(request, identity)
    request_id = request_id_of(request)
    wants_json = request.method == "POST" and _wants_json(request)
    address = hashed_address(request) if identities.is_anonymous(identity) else None
    opened = await engine.open(owner, ask, request_id, address=address, reads=not wants_json)
    if ask.asks and not opened.started:
        count_saved_call()
    if wants_json:
        shown = await engine.snapshot(owner, opened.found.stream_id)
        return json_response(shown or {}, 201 if opened.started else 200, **{"X-Stream-Id": opened.found.stream_id})
    if not opened.started:
        log_resume(opened.found.stream_id, request_id, ask.after, opened.found.last_event_id)
    if opened.found.closed and ask.after >= opened.found.last_event_id:
        return no_content(opened.found.stream_id)
    return _event_stream(request, engine, owner, opened, ask.after, identity)


@refusals_as_problems
async def not_found(request: HttpRequest) -> HttpResponseBase:
    """404 for every other path of the API."""
    raise NoSuchResource("There is nothing here; see /api/docs.")


async def started() -> Engine:
    """The engine. Raises Unavailable where it cannot start, as long as the database is out of reach."""
    try:
        async with asyncio.timeout(START_SECONDS):
            return await lifecycle.running()
    except TimeoutError:
        raise Unavailable("The server is not ready yet; try again.", retry_after=5) from None


async def identity_of(request: HttpRequest, engine: Engine) -> Identity | None:
    """Who the request acts for; asks the database, in a reader thread, only where it has to.

    The first request of a login takes along what its visitor streamed before it, anonymously.
    """
    if not identities.needs_database(request):
        return identities.identify(request)
    identity = await engine.store.read(identities.identify, request)
    if identity is not None and identity.credential is not None and identity.credential.key is not None:
        engine.revocations.used(identity.credential.key)
    if identity is not None and identity.adoption is not None:
        await engine.store.write(adopt_all, identity.adoption)
    return identity


async def identity_or_refusal(request: HttpRequest, engine: Engine) -> tuple[Identity | None, IdentityRequired | None]:
    """A refusal is kept for later: what is wrong with the parameters is told first."""
    try:
        return await identity_of(request, engine), None
    except IdentityRequired as refusal:
        return None, refusal


def request_id_of(request: HttpRequest) -> str:
    """As the middleware took or made it."""
    return str(getattr(request, "request_id", ""))


def _event_stream(
    request: HttpRequest, engine: Engine, owner: Owner, opened: Opened, after: int, identity: Identity | None
) -> EventStreamResponse:
    opening = OPENING + UNDISPATCHED_ID if opened.id_made_here else OPENING
    reader = engine.read(owner, opened.found, after, opening, identity.credential if identity else None)
    return EventStreamResponse(reader, stream_id=opened.found.stream_id, http_version=http_version(request))


def _wants_json(request: HttpRequest) -> bool:
    accepted = {str(media).split(";")[0].strip() for media in request.accepted_types}
    return "application/json" in accepted and "text/event-stream" not in accepted
