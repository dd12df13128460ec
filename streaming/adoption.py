"""Adoption: what an anonymous visitor streamed becomes the user's that they log in as. Synchronous."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from streaming.claims import Owner
from streaming.models import Stream, StreamQuerySet


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
            _adoptable(adoption).update(issuer=adoption.taker.issuer, user_id=adoption.taker.user_id)
    return [None] * len(adoptions)


def _adoptable(adoption: Adoption) -> StreamQuerySet:
    taken = Stream.objects.owned_by(adoption.taker.issuer, adoption.taker.user_id).values("stream_id")
    given = Stream.objects.owned_by(adoption.giver.issuer, adoption.giver.user_id)
    return given.exclude(stream_id__in=taken)
