"""Snapshots: what is true of a stream, as JSON. Synchronous reads, but for the text of an open stream."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from streaming.claims import Owner
from streaming.conversations import contains
from streaming.errors import LogGone
from streaming.eventlog.base import EventLog
from streaming.eventlog.stored import text_until
from streaming.events import EventType, usd
from streaming.models import Conversation, Stream
from streaming.sse import data_of


@dataclass(frozen=True, slots=True)
class Shown:
    """A stream's snapshot. Of one that is open the text is still to be read from the log."""

    key: int
    closed: bool
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an open stream has said up to an event. ``closes``: that is its terminal one.

    ``tokens`` and ``cost_usd`` are the sums of its chunks; None where one of them has no known price.
    """

    text: str
    last_event_id: int
    closes: bool
    tokens: int
    cost_usd: float | None


def snapshot(owner: Owner, stream_id: str) -> Shown | None:
    """A stream, with its text where it is closed (of a pruned one: none); None where the owner has no such stream."""
    stream = _rows(owner).filter(stream_id=stream_id).first()
    if stream is None:
        return None
    if not stream.head.closed:
        return Shown(stream.pk, False, _numbers(stream))
    text = text_until(stream.pk, stream.head.next_event_id)
    if not text:
        # Where it was pruned between the two queries, both halves are to say so.
        stream.refresh_from_db(fields=["message", "pruned_at"])
    end = {"text": text, "last_event_id": stream.head.next_event_id - 1, "cost_so_far": None}
    return Shown(stream.pk, True, {**_numbers(stream), **end})


async def read_answer(log: EventLog, stream: int) -> Answer:
    """The text of exactly the events up to the one that is named: what the log shows now."""
    text: list[str] = []
    costs: list[float | None] = []
    tokens, after, closes = 0, -1, False
    with suppress(LogGone):
        while page := await log.read(stream, after):
            for data in data_of(page.frames, EventType.MESSAGE_CHUNK.wire_name):
                chunk = json.loads(data)
                text.append(chunk["content"])
                costs.append(chunk["cost_usd"])
                tokens += chunk["tokens"]
            after, closes = page.last_event_id, page.closes
    cost = None if None in costs else math.fsum(cost for cost in costs if cost is not None)
    return Answer("".join(text), after, closes, tokens, cost)


def so_far(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """The snapshot of an open stream whose numbers are ``body``. The ledger counts its answer at the end; until then
    the chunks do, so that who comes back goes on counting from there."""
    return {
        **body,
        "text": answer.text,
        "last_event_id": answer.last_event_id,
        "completion_tokens": answer.tokens,
        "total_tokens": body["prompt_tokens"] + answer.tokens,
        "cost_so_far": answer.cost_usd,
    }


def snapshots(
    owner: Owner, *, limit: int, before: str | None = None, conversation_id: str | None = None, query: str = ""
) -> dict[str, Any]:
    """One's own streams without their text, newest first; ``next`` is the ``before`` of the next page.

    It is a ``stream_id``, not a number of ours, which would tell how much others stream. Raises
    Stream.DoesNotExist where ``before`` is none of the owner's.
    """
    erased = Conversation.objects.filter(issuer=owner.issuer, user_id=owner.user_id, erased_at__isnull=False)
    rows = _rows(owner).exclude(conversation_id__in=erased.values("conversation_id")).order_by("-pk")
    if before is not None:
        rows = rows.filter(pk__lt=_rows(owner).values_list("pk", flat=True).get(stream_id=before))
    if conversation_id is not None:
        rows = rows.filter(conversation_id=conversation_id)
    if query:
        rows = rows.filter(contains("message", query))
    page = list(rows[: limit + 1])
    following = page[limit - 1].stream_id if len(page) > limit else None
    return {"streams": [_numbers(stream) for stream in page[:limit]], "next": following}


def _rows(owner: Owner) -> QuerySet[Stream]:
    return Stream.objects.owned_by(owner.issuer, owner.user_id).select_related("head", "cost", "parent", "continues")


def _numbers(stream: Stream) -> dict[str, Any]:
    cost = stream.cost
    return {
        "stream_id": stream.stream_id,
        "user_id": stream.user_id,
        "conversation_id": stream.conversation_id,
        "parent_id": _name(stream, stream.parent),
        "continues": _name(stream, stream.continues),
        "model": stream.model,
        "provider": stream.provider,
        "status": stream.status,
        "message": stream.message,
        "prompt_tokens": cost.prompt_tokens,
        "completion_tokens": cost.completion_tokens,
        "total_tokens": cost.prompt_tokens + cost.completion_tokens,
        "total_cost": None if (total := usd(cost.total_pico_usd)) is None else float(total),
        "cost_state": cost.state,
        "latency_ms": stream.latency_ms,
        "first_token_ms": stream.first_token_ms,
        "created_at": stream.created_at,
        "finished_at": stream.finished_at,
        "finish_reason": stream.finish_reason or None,
        "error_type": stream.error_type or None,
        "error": stream.error or None,
        "pruned_at": stream.pruned_at,
    }


def _name(stream: Stream, other: Stream | None) -> str | None:
    """The id of a stream that this one follows or continues. None where adoption has left that with somebody else: to
    the owner of this one the id may name another."""
    if other is None or (other.issuer, other.user_id) != (stream.issuer, stream.user_id):
        return None
    return other.stream_id
