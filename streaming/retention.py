"""Retention: what is left of a stream whose text is forgotten. Synchronous.

Events, message and system go. The ids, the fingerprint, the head, the counts and the costs stay: so an old
id never bills again, and a producer that comes back finds its log closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from streaming.models import Conversation, Stream, StreamEvent, StreamRecord

BATCH_STREAMS = 100
BATCH_EVENTS = 20_000
"""A transaction empties no more than this, so that nobody waits long for it; one stream alone may have more."""


Forget = Callable[[list[int]], None]

_others: list[Forget] = []


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction has emptied."""

    streams: int
    events: int


def also_forget(forget: Forget) -> None:
    """Have another app forget what it keeps of a stream's text; for its ``AppConfig.ready``.

    ``forget`` gets the keys of closed streams, in the transaction that empties them: both happen, or neither.
    """
    _others.append(forget)


def prunable(before: datetime, owner: tuple[str, str] | None = None) -> QuerySet[Stream]:
    """Closed streams that ended before ``before`` and are not pruned; of one (issuer, user_id), or of all."""
    streams = Stream.objects.filter(pruned_at__isnull=True, head__closed=True, finished_at__lt=before)
    return streams if owner is None else streams.owned_by(*owner)


def batches(streams: QuerySet[Stream]) -> Iterator[list[int]]:
    """The keys of closed streams in batches, those that ended first first; what comes later is for the next time."""
    rest = streams.order_by("finished_at", "pk")
    while keys := take(rest):
        yield keys
        last = Stream.objects.get(pk=keys[-1]).finished_at
        rest = streams.order_by("finished_at", "pk").filter(
            Q(finished_at=last, pk__gt=keys[-1]) | Q(finished_at__gt=last), finished_at__gte=last
        )


def take(streams: QuerySet[Stream]) -> list[int]:
    """The keys of the first of some streams: as many as one transaction may empty, at least one."""
    keys: list[int] = []
    events = 0
    for key, end in streams.values_list("pk", "head__next_event_id")[:BATCH_STREAMS]:
        events += end
        if keys and events > BATCH_EVENTS:
            break
        keys.append(key)
    return keys


@transaction.atomic
def wipe(keys: list[int]) -> Batch:
    """Forget the text of streams; those that are open, or pruned already, or just being pruned, are left alone."""
    streams = Stream.objects.filter(pk__in=keys, pruned_at__isnull=True, head__closed=True).order_by("pk")
    locked = streams.select_for_update(skip_locked=True, no_key=True, of=("self",))
    rows = list(locked.select_related("head").only("issuer", "user_id", "conversation_id", "head__next_event_id"))
    mine = [row.pk for row in rows]
    StreamEvent.objects.filter(stream__in=mine).delete()
    StreamRecord.objects.filter(stream__in=mine).delete()
    Stream.objects.filter(pk__in=mine).update(message="", system=None, pruned_at=timezone.now())
    _forget_titles(rows)
    for forget in _others:
        forget(mine)
    return Batch(len(mine), sum(row.head.next_event_id for row in rows))


def _forget_titles(streams: list[Stream]) -> None:
    """A title goes with the last text of its conversation."""
    by_owner = attrgetter("issuer", "user_id")
    for (issuer, user_id), group in groupby(sorted(streams, key=by_owner), by_owner):
        names = {stream.conversation_id for stream in group} - {None}
        titled = Conversation.objects.filter(
            issuer=issuer, user_id=user_id, conversation_id__in=names, title__isnull=False
        )
        kept = Stream.objects.filter(
            issuer=issuer, user_id=user_id, conversation_id=OuterRef("conversation_id"), pruned_at__isnull=True
        )
        titled.filter(~Exists(kept)).update(title=None)
