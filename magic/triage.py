"""Triage: a message in; what it is, how urgent, and a filled-in template out.

The call is a stream like any other: started by the engine, under the limits of its owner, priced in the ledger, and
sent once however often the request is repeated with its ``artifact_id``, which is its ``stream_id``. One answer that
does not fit the schema is sent back with what is wrong, as a second stream that follows the first. With the ``demo``
provider the verdict is that of ``rules``, which the provider is asked to echo.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from magic import library, prompting, rules
from magic.definitions import Definition
from magic.errors import TemplateFailed, TriageFailed
from magic.estimates import estimate
from magic.messages import Message, Verdict, parse_verdict
from magic.models import TriageResult
from magic.rendering import OutputFormat, renderer
from magic.values import check_values
from streaming.claims import Found, Owner
from streaming.engine import Engine
from streaming.errors import Conflict, InvalidRequest, StreamNotFound, StreamPruned, Unavailable
from streaming.models import Status, Stream
from streaming.params import Ask
from streaming.pricing import PICO_PER_USD
from streaming.providers import registry
from streaming.tasks import Tasks

MAX_ARTIFACT_CHARS = 120
"""Shorter than a ``stream_id`` may be: that of the repair is made of it."""
ANSWER_TOKENS = 4096
DEMO = "demo"
TEMPLATE = "triage"
"""What the costs of its calls stand under, beside those of the prompt templates."""
State = TriageResult.State

_tasks = Tasks()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for triage, and who makes it. ``address`` is that of an anonymous identity, hashed."""

    owner: Owner
    artifact_id: str
    message: Message
    request_id: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a triage ended: the changes of its row."""

    stream: int
    changes: dict[str, Any]


def new_artifact_id() -> str:
    """One that nobody has."""
    return f"triage_{secrets.token_hex(16)}"


async def triage(engine: Engine, asked: Asked) -> TriageResult:
    """Triage a message, or answer what was made of it before. Raises Refusal.

    It goes on to its end where the client leaves.
    """
    known = await engine.store.read(find, asked.owner, asked.artifact_id)
    if known is not None and known.fingerprint != asked.message.fingerprint:
        raise Conflict
    if known is None or known.state == State.PENDING:
        known = await asyncio.shield(_tasks.spawn(_run(engine, asked, is_known=known is not None)))
    if known.state == State.FAILED:
        raise TriageFailed(known.error)
    return known


def find(owner: Owner, artifact_id: str) -> TriageResult | None:
    """An owner's result. Raises StreamPruned where its text is gone."""
    rows = TriageResult.objects.select_related("stream__cost", "repair__cost")
    row = rows.filter(stream__issuer=owner.issuer, stream__user_id=owner.user_id, stream__stream_id=artifact_id).first()
    if row is not None and (row.stream.pruned_at is not None or row.state == State.FORGOTTEN):
        raise StreamPruned
    return row


async def _run(engine: Engine, asked: Asked, *, is_known: bool) -> TriageResult:
    templates = {each.name: each for each in await engine.store.read(library.usable)}
    first = await _open(engine, asked, templates, is_known=is_known)
    await engine.store.write(begin_all, _row(first, asked.message))
    try:
        verdict, repair = await _verdict(engine, asked, first, templates)
        changes = await _settled(engine, asked.message, verdict, templates)
    except TriageFailed as error:
        changes, repair = {"state": State.FAILED, "error": error.detail[:500]}, None
    if repair is not None:
        changes["repair_id"] = repair.key
    await engine.store.write(settle_all, Settlement(first.key, changes))
    settled = await engine.store.read(find, asked.owner, asked.artifact_id)
    if settled is None:
        raise StreamNotFound  # a login has just taken it along
    return settled


async def _open(engine: Engine, asked: Asked, templates: dict[str, Definition], *, is_known: bool) -> Found:
    """Start the call, or attach to it: what is asked would be another thing where a template has changed since."""
    what = {} if is_known else _asked_of_model(asked.message, templates)
    ask = Ask(user_id=asked.owner.user_id, stream_id=asked.artifact_id, template=TEMPLATE, asked=what)
    return (await engine.open(asked.owner, ask, asked.request_id, address=asked.address, reads=False)).found


def _asked_of_model(message: Message, templates: dict[str, Definition]) -> dict[str, Any]:
    provider, _ = registry.find(message.model) if message.model else registry.default()
    text = message.text
    if provider.name == DEMO:
        text = f"/echo {rules.judge(message, templates).model_dump_json()}"
    named = {"model": message.model} if message.model else {}
    return {"message": text, **named, "system": prompting.instructions(templates), "max_tokens": ANSWER_TOKENS}


async def _verdict(
    engine: Engine, asked: Asked, first: Found, templates: dict[str, Definition]
) -> tuple[Verdict, Found | None]:
    """The model's verdict, and the second call where there was one. Raises TriageFailed."""
    text = await _answer(engine, asked.owner, first)
    try:
        return parse_verdict(text, asked.message, templates), None
    except ValueError as error:
        wrong = str(error)
    second = await _open_repair(engine, asked, wrong, templates)
    text = await _answer(engine, asked.owner, second)
    try:
        return parse_verdict(text, asked.message, templates), second
    except ValueError:
        raise TriageFailed("The model answered twice, and neither answer fits the schema.") from None


async def _open_repair(engine: Engine, asked: Asked, wrong: str, templates: dict[str, Definition]) -> Found:
    stream_id = f"{asked.artifact_id}.repair"
    try:
        attach = Ask(user_id=asked.owner.user_id, stream_id=stream_id)
        return (await engine.open(asked.owner, attach, asked.request_id, reads=False)).found
    except StreamNotFound:
        what = {**_asked_of_model(asked.message, templates), "message": prompting.complaint(wrong)}
        what["parent_id"] = asked.artifact_id
        ask = Ask(user_id=asked.owner.user_id, stream_id=stream_id, template=TEMPLATE, asked=what)
        opened = await engine.open(asked.owner, ask, asked.request_id, address=asked.address, reads=False)
        return opened.found


async def _answer(engine: Engine, owner: Owner, found: Found) -> str:
    """The text of a call that came to its end. Raises TriageFailed."""
    if not found.closed:
        await engine.wait_until_closed(found)
    shown = await engine.snapshot(owner, found.stream_id)
    if shown is None:
        raise StreamNotFound
    if shown["pruned_at"] is not None:
        raise StreamPruned
    if shown["status"] != Status.DONE:
        raise TriageFailed(f"The model did not answer: {shown['error'] or 'the call was cancelled.'}")
    return str(shown["text"])


async def _settled(
    engine: Engine, message: Message, verdict: Verdict, templates: dict[str, Definition]
) -> dict[str, Any]:
    """The row of a verdict, with what its filled-in template would cost."""
    template = templates.get(verdict.suggested_template or "")
    model = message.model or registry.default()[1].id
    prompt = await _prompt(template, verdict) if template else message.text
    usd = (await engine.store.read(estimate, prompt)).costs.get(model)
    return {
        "state": State.DONE,
        **verdict.model_dump(exclude={"suggested_template"}),
        "suggested_template": template.name if template else "",
        "template_version": template.version if template else None,
        "model": model,
        "estimated_pico_usd": None if usd is None else round(usd * PICO_PER_USD),
    }


async def _prompt(template: Definition, verdict: Verdict) -> str:
    values, _ = check_values(template.inputs, verdict.inputs)
    try:
        return (await asyncio.wrap_future(renderer.render(template, values, OutputFormat.TEXT))).prompt
    except (InvalidRequest, TemplateFailed, Unavailable):
        return str(verdict.inputs)


def _row(found: Found, message: Message) -> TriageResult:
    return TriageResult(
        stream_id=found.key,
        fingerprint=message.fingerprint,
        content=message.content,
        subject=message.subject or "",
        from_email=message.from_email or "",
        created_at=timezone.now(),
    )


def begin_all(rows: list[TriageResult]) -> list[None]:
    """Keep what is being triaged, unless its stream was emptied meanwhile; the same again changes nothing."""
    streams = Stream.objects.filter(pk__in=[row.stream_id for row in rows], pruned_at__isnull=True)
    # Locked, as by who empties them: so none is emptied before its row is there to be emptied too.
    kept = set(streams.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    TriageResult.objects.bulk_create([row for row in rows if row.stream_id in kept], ignore_conflicts=True)
    return [None] * len(rows)


def settle_all(settlements: list[Settlement]) -> list[None]:
    """Write down how triages ended; one that has ended, or is forgotten, stays as it is."""
    for each in settlements:
        rows = TriageResult.objects.filter(pk=each.stream, state=State.PENDING)
        rows.update(**each.changes, finished_at=timezone.now())
    return [None] * len(settlements)
