"""Snapshots: what is true of a stream, as JSON. Synchronous reads."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from streaming.claims import Owner
from streaming.conversations import contains
from streaming.eventlog.stored import text_until
from streaming.events import usd
from streaming.models import Conversation, Stream


def snapshot(owner: Owner, stream_id: str) -> dict[str, Any] | None:
    """A stream with its text, or None where the owner has no such stream.

    ``text`` is exactly that of the events up to ``last_event_id``: the row is read first, then only the
    events that its head knows of, and a log only grows. Of a pruned stream both are empty.
    """
    stream = _rows(owner).filter(stream_id=stream_id).first()
    if stream is None:
        return None
    end = stream.head.next_event_id
    text = text_until(stream.pk, end)
    if not text and stream.head.closed:
        # Where it was pruned between the two queries, both halves are to say so.
        stream.refresh_from_db(fields=["message", "pruned_at"])
    return {**_numbers(stream), "text": text, "last_event_id": end - 1}


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
    return Stream.objects.owned_by(owner.issuer, owner.user_id).select_related("head", "cost", "parent")


def _numbers(stream: Stream) -> dict[str, Any]:
    cost = stream.cost
    return {
        "stream_id": stream.stream_id,
        "user_id": stream.user_id,
        "conversation_id": stream.conversation_id,
        "parent_id": stream.parent.stream_id if stream.parent else None,
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
