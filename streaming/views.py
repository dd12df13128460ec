"""``/api/v1/stream``: start, attach or resume. A plain asynchronous view; the rest of the API is in ``api``."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from streaming import identity as identities
from streaming import lifecycle
from streaming.bodies import parameters
from streaming.engine import Engine, Opened
from streaming.errors import MethodNotAllowed, NoSuchResource, Refusal, Unavailable
from streaming.identity import Identity
from streaming.journal import log_resume
from streaming.params import parse
from streaming.providers import registry
from streaming.responses import (
    EventStreamResponse,
    http_version,
    internal_error,
    json_response,
    no_content,
    problem,
)
from streaming.snapshots import snapshot
from streaming.sse import OPENING, UNDISPATCHED_ID
from streaming.store import StoreClosed

logger = logging.getLogger("streaming.views")

View = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


def refusals_as_problems(view: View) -> Callable[..., Any]:
    """Answer a Refusal as problem+json, and anything else that is raised as a 500 that tells nothing."""

    @wraps(view)
    async def guarded(request: HttpRequest) -> HttpResponseBase:
        try:
            return await view(request)
        except Refusal as refusal:
            return problem(refusal)
        except StoreClosed:
            return problem(Unavailable("The server is shutting down; try again.", retry_after=5))
        except SuspiciousOperation:
            raise
        except Exception as error:
            logger.exception("request failed", extra={"request_id": request_id_of(request), "error": repr(type(error))})
            return internal_error()

    guarded.csrf_exempt = True  # type: ignore[attr-defined]  # refuse_foreign_sites takes its place
    return guarded


@refusals_as_problems
async def stream(request: HttpRequest) -> HttpResponseBase:
    """Start a stream, attach to it, or resume after ``last_event_id``. See docs/PROTOCOL.md."""
    if request.method not in {"GET", "POST"}:
        refusal = problem(MethodNotAllowed("Use GET or POST."))
        refusal.headers["Allow"] = "GET, POST"
        return refusal
    engine = await lifecycle.running()
    identity = await identity_of(request, engine)
    open_access = identity is not None and identity.user_id is None
    ask = parse(
        parameters(request),
        request.headers.get("Last-Event-ID"),
        needs_user_id=open_access,
        knows_model=registry.knows,
    )
    owner = identities.owner(identity, ask.user_id)
    if ask.message is not None:
        identities.refuse_foreign_sites(request, identity)
    request_id = request_id_of(request)
    opened = await engine.open(owner, ask, request_id)
    if request.method == "POST" and _wants_json(request):
        shown = await engine.store.read(snapshot, owner, opened.found.stream_id)
        return json_response(shown or {}, 201 if opened.started else 200, **{"X-Stream-Id": opened.found.stream_id})
    if not opened.started:
        log_resume(opened.found.stream_id, request_id, ask.after, opened.found.last_event_id)
    if opened.found.closed and ask.after >= opened.found.last_event_id:
        return no_content(opened.found.stream_id)
    return _event_stream(request, engine, opened, ask.after)


@refusals_as_problems
async def not_found(request: HttpRequest) -> HttpResponseBase:
    """404 for every other path of the API."""
    raise NoSuchResource("There is nothing here; see /api/docs.")


async def identity_of(request: HttpRequest, engine: Engine) -> Identity | None:
    """Who the request acts for; asks the database, in a reader thread, only where there may be a login."""
    if django_settings.SESSION_COOKIE_NAME in request.COOKIES:
        return await engine.store.read(identities.identify, request)
    return identities.identify(request)


def request_id_of(request: HttpRequest) -> str:
    """As the middleware took or made it."""
    return str(getattr(request, "request_id", ""))


def _event_stream(request: HttpRequest, engine: Engine, opened: Opened, after: int) -> EventStreamResponse:
    opening = OPENING + UNDISPATCHED_ID if opened.id_made_here else OPENING
    reader = engine.read(opened.found, after, opening)
    return EventStreamResponse(reader, stream_id=opened.found.stream_id, http_version=http_version(request))


def _wants_json(request: HttpRequest) -> bool:
    accepted = {str(media).split(";")[0].strip() for media in request.accepted_types}
    return "application/json" in accepted and "text/event-stream" not in accepted
