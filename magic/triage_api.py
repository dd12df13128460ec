"""``/api/triage`` over HTTP. Described at ``/api/docs``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from magic.messages import MAX_SUBJECT_CHARS, parse_message
from magic.models import TriageResult
from magic.triage import MAX_ARTIFACT_CHARS, Asked, find, new_artifact_id, triage
from streaming import identity as identities
from streaming.addresses import hashed_address
from streaming.bodies import parameters
from streaming.conf import settings
from streaming.errors import FieldError, InvalidRequest, StreamNotFound
from streaming.events import usd
from streaming.identity import Identity
from streaming.models import Scope
from streaming.openapi import IDENTIFIER as IDENTIFIER_SCHEMA
from streaming.openapi import NOT_BLANK, problems
from streaming.params import IDENTIFIER, MAX_MODEL_CHARS
from streaming.providers import registry
from streaming.views import identity_of, identity_or_refusal, request_id_of, started

router = Router(tags=["triage"])

Identifier = Annotated[str | None, Field(pattern=f"^{IDENTIFIER.pattern}$")]
ARTIFACT_ID = {"type": ["string", "null"], "pattern": rf"^[A-Za-z0-9_.:-]{{1,{MAX_ARTIFACT_CHARS}}}$"}


def _schema() -> dict[str, Any]:
    content = {"type": "string", "pattern": NOT_BLANK, "maxLength": settings.STREAM_MAX_MESSAGE_CHARS}
    return {
        "type": "object",
        "required": ["content"],
        "properties": {
            "content": {**content, "description": "The message, as text."},
            "subject": {"type": ["string", "null"], "maxLength": MAX_SUBJECT_CHARS},
            "from_email": {"type": ["string", "null"], "format": "email", "description": "The sender's address."},
            "model": {
                "type": ["string", "null"],
                "maxLength": MAX_MODEL_CHARS,
                "description": "Who judges; see /api/v1/models.",
            },
            "artifact_id": {**ARTIFACT_ID, "description": "Makes a repeated request safe; made where left out."},
            "user_id": {**IDENTIFIER_SCHEMA, "type": ["string", "null"], "description": "As with /api/v1/stream."},
        },
    }


class TriageOut(Schema):
    """What a message is, and a template to answer it with.

    ``model`` and ``estimated_cost`` are a suggestion: who should be sent the filled-in template, and what that would
    cost (USD, without the answer; null where no price is known). What the triage itself cost is ``total_cost``.
    """

    artifact_id: str
    category: str
    priority: str
    summary: str
    action_items: list[str]
    reasons: list[str]
    suggested_template: str | None
    template_version: int | None
    inputs: dict[str, Any]
    model: str
    estimated_cost: float | None
    total_cost: float | None
    created_at: datetime


@router.post(
    "/triage",
    response=TriageOut,
    summary="Sort an incoming message",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _schema()}}},
        "responses": problems(
            {
                "409": "The `artifact_id` was used for another message.",
                "410": "The text of this result was deleted.",
                "429": "A limit was reached; `Retry-After` tells when to try again.",
                "502": "The model did not answer, or not as it was asked to.",
            }
        ),
    },
)
async def post_triage(request: HttpRequest) -> dict[str, Any]:
    """Asks a model (with `demo`: by rules), once for an `artifact_id`, however often the request is repeated.

    It is a start like any other: limits and budgets apply, and it is in the ledger.
    """
    engine = await started()
    identity, unidentified = await identity_or_refusal(request, engine)
    values = parameters(request)
    message, errors = parse_message(values)
    errors += _other_errors(values, identity)
    if errors or message is None:
        raise InvalidRequest(*errors)
    if unidentified is not None:
        raise unidentified
    owner = identities.owner(identity, values.get("user_id"), Scope.STREAM)
    identities.refuse_foreign_sites(request, identity)
    address = hashed_address(request) if identities.is_anonymous(identity) else None
    artifact_id = values.get("artifact_id") or new_artifact_id()
    return _shown(await triage(engine, Asked(owner, artifact_id, message, request_id_of(request), address)))


@router.get("/triage/{artifact_id}", response=TriageOut, summary="What triage made of a message")
async def get_triage(request: HttpRequest, artifact_id: str, user_id: Identifier = None) -> dict[str, Any]:
    """One of one's own results, once it is there."""
    engine = await started()
    identity = await identity_of(request, engine)
    if identity is not None and identity.user_id is None and user_id is None:
        raise InvalidRequest(FieldError("user_id", "is required where the request carries no identity"))
    owner = identities.owner(identity, user_id, Scope.READ)
    found = await engine.store.read(find, owner, artifact_id) if IDENTIFIER.fullmatch(artifact_id) else None
    if found is None or found.state != TriageResult.State.DONE:
        raise StreamNotFound("There is no such result.")
    return _shown(found)


def _other_errors(values: dict[str, Any], identity: Identity | None) -> list[FieldError]:
    errors = []
    model, user_id, artifact_id = values.get("model"), values.get("user_id"), values.get("artifact_id")
    if model is not None and not _is_model(model):
        errors.append(FieldError("model", "is not one that a provider is known for; see /api/v1/models"))
    if user_id is None and identity is not None and identity.user_id is None:
        errors.append(FieldError("user_id", "is required where the request carries no identity"))
    if user_id is not None and not _is_identifier(user_id):
        errors.append(FieldError("user_id", f"must match {IDENTIFIER.pattern}"))
    if artifact_id is not None and not (_is_identifier(artifact_id) and len(artifact_id) <= MAX_ARTIFACT_CHARS):
        errors.append(FieldError("artifact_id", f"must match [A-Za-z0-9_.:-]{{1,{MAX_ARTIFACT_CHARS}}}"))
    return errors


def _is_model(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_MODEL_CHARS and registry.knows(value)


def _is_identifier(value: Any) -> bool:
    return isinstance(value, str) and IDENTIFIER.fullmatch(value) is not None


def _shown(row: TriageResult) -> dict[str, Any]:
    costs = [stream.cost.total_pico_usd for stream in (row.stream, row.repair) if stream is not None]
    known = [each for each in costs if each is not None]
    return {
        "artifact_id": row.stream.stream_id,
        "category": row.category,
        "priority": row.priority,
        "summary": row.summary,
        "action_items": row.action_items,
        "reasons": row.reasons,
        "suggested_template": row.suggested_template or None,
        "template_version": row.template_version,
        "inputs": row.inputs,
        "model": row.model,
        "estimated_cost": _dollars(row.estimated_pico_usd),
        "total_cost": _dollars(sum(known)) if len(known) == len(costs) else None,
        "created_at": row.created_at,
    }


def _dollars(pico: int | None) -> float | None:
    amount = usd(pico)
    return None if amount is None else float(amount)
