"""Adoption: what an anonymous visitor streamed becomes the user's that they log in as. Synchronous."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from streaming.claims import Owner
from streaming.limits import Demand
from streaming.models import Allowance, Conversation, Stream, StreamQuerySet


@dataclass(frozen=True, slots=True)
class Adoption:
    """From whom, to whom."""

    giver: Owner
    taker: Owner


def is_due(adoption: Adoption) -> bool:
    """Whether there is anything to adopt."""
    return _adoptable(adoption).exists()


def adopt_all(adoptions: list[Adoption]) -> list[None]:
    """Hand the streams over, live ones too: producers and readers know a stream by its key, not by its owner.

    A ``stream_id`` that the taker has already stays where it is: renaming it would lose it to whoever knows
    it by that name, and dropping it would let it bill again.
    """
    for adoption in adoptions:
        # A start with one of the ids came between: the next request adopts the rest.
        with suppress(IntegrityError), transaction.atomic():
            _adopt(adoption)
    return [None] * len(adoptions)


def _adopt(adoption: Adoption) -> None:
    giver, taker = adoption.giver, adoption.taker
    named = set(_adoptable(adoption).values_list("conversation_id", flat=True)) - {None}
    _adoptable(adoption).update(issuer=taker.issuer, user_id=taker.user_id)
    _adopt_conversations(adoption, named)
    # What both have spent is summed anew from the ledger.
    accounts = [Demand(owner.issuer, owner.user_id).owner_account for owner in (giver, taker)]
    Allowance.objects.filter(pk__in=accounts).delete()


def _adopt_conversations(adoption: Adoption, named: set[str | None]) -> None:
    """The taker's own conversation of a name stays as it is; the giver keeps those that it has streams in."""
    giver, taker = adoption.giver, adoption.taker
    given = Conversation.objects.filter(issuer=giver.issuer, user_id=giver.user_id, conversation_id__in=named)
    copies = []
    for conversation in given:
        conversation.pk = None
        conversation.issuer, conversation.user_id = taker.issuer, taker.user_id
        copies.append(conversation)
    Conversation.objects.bulk_create(copies, ignore_conflicts=True)
    kept = Stream.objects.owned_by(giver.issuer, giver.user_id).filter(conversation_id__in=named)
    given.exclude(conversation_id__in=kept.values("conversation_id")).delete()


def _adoptable(adoption: Adoption) -> StreamQuerySet:
    taken = Stream.objects.owned_by(adoption.taker.issuer, adoption.taker.user_id).values("stream_id")
    given = Stream.objects.owned_by(adoption.giver.issuer, adoption.giver.user_id)
    return given.exclude(stream_id__in=taken)
