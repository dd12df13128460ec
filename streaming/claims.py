"""Claims: how a stream comes to be, at most once per owner and ``stream_id``, on however many processes.

Synchronous; ``claim_all`` runs in a transaction of its caller.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from streaming import ledger
from streaming.errors import Limited
from streaming.limits import Demand, Gate
from streaming.models import Status, Stream, StreamHead
from streaming.params import Ask
from streaming.pricing import Prices


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose streams these are: ``user_id`` as vouched for by ``issuer``."""

    issuer: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Found:
    """A stream and its head, read together."""

    key: int
    stream_id: str
    fingerprint: str
    end: int
    closed: bool
    pruned: bool
    created: bool = False
    """Whether this claim made it."""

    @property
    def last_event_id(self) -> int:
        return self.end - 1


@dataclass(frozen=True, slots=True)
class Claim:
    """A start: the stream that is to be, and the process that will produce it."""

    owner: Owner
    stream_id: str
    ask: Ask
    model: str
    provider: str
    prices: Prices | None
    prompt_tokens: int
    process: int
    parent: int | None = None
    request_id: str = ""
    address: str | None = None
    """Where an anonymous identity asks from, hashed; None for every other."""
    most_pico_usd: int | None = 0
    """The most that the call can cost; None where there is a budget and no price is known."""
    nonce: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def demand(self) -> Demand:
        """What it asks of the limits."""
        return Demand(self.owner.issuer, self.owner.user_id, self.address, self.most_pico_usd)


def find(owner: Owner, stream_id: str) -> Found | None:
    """An owner's stream by its id."""
    head = _heads(owner, stream_id).first()
    return None if head is None else _found(head)


def find_parent(owner: Owner, ask: Ask) -> int | None:
    """The key of the stream that a message follows; None where it follows none.

    Raises Stream.DoesNotExist where the request names one that is not the owner's.
    """
    streams = Stream.objects.owned_by(owner.issuer, owner.user_id)
    if parent_id := ask.asked.get("parent_id"):
        return streams.values_list("pk", flat=True).get(stream_id=parent_id)
    if conversation := ask.asked.get("conversation_id"):
        finished = streams.filter(conversation_id=conversation, finished_at__isnull=False)
        return finished.order_by("-pk").values_list("pk", flat=True).first()
    return None


def claim_all(claims: list[Claim], clock: Callable[[], datetime] = timezone.now) -> list[Found | Exception]:
    """Create the streams that do not exist yet; answers those that do, whoever made them.

    What a limit refuses comes to be Limited, and leaves nothing behind.
    """
    gate = Gate((claim.demand for claim in claims), clock)
    return [_claim(claim, gate) for claim in claims]


def find_refusal(claim: Claim) -> Limited | None:
    """Why a limit would refuse a start now; locks nothing and promises nothing."""
    return Gate((), lock=False).refusal(claim.demand)


def _claim(claim: Claim, gate: Gate) -> Found | Limited:
    head = _heads(claim.owner, claim.stream_id).first()
    if head is None:
        if (refusal := gate.refusal(claim.demand)) is not None:
            return refusal
        try:
            with transaction.atomic():
                head = _create(claim, gate.now)
        except IntegrityError:
            head = _heads(claim.owner, claim.stream_id).get()
    return _found(head, created=head.claim == claim.nonce)


def _create(claim: Claim, now: datetime) -> StreamHead:
    asked = claim.ask.asked
    stream = Stream.objects.create(
        issuer=claim.owner.issuer,
        user_id=claim.owner.user_id,
        stream_id=claim.stream_id,
        conversation_id=asked.get("conversation_id"),
        parent_id=claim.parent,
        fingerprint=claim.ask.fingerprint,
        request_id=claim.request_id,
        address=claim.address,
        model=claim.model,
        provider=claim.provider,
        message=asked["message"],
        system=asked.get("system"),
        temperature=asked.get("temperature"),
        max_tokens=asked.get("max_tokens"),
        status=Status.STREAMING,
        created_at=now,
        dispatched_at=now,
    )
    record = ledger.open_record(stream, claim.prompt_tokens, claim.prices, claim.most_pico_usd or 0)
    record.save(force_insert=True)
    return StreamHead.objects.create(stream=stream, process_id=claim.process, claim=claim.nonce)


def _heads(owner: Owner, stream_id: str):  # type: ignore[no-untyped-def]  # a QuerySet of StreamHead
    return StreamHead.objects.select_related("stream").filter(
        stream__issuer=owner.issuer, stream__user_id=owner.user_id, stream__stream_id=stream_id
    )


def _found(head: StreamHead, *, created: bool = False) -> Found:
    return Found(
        key=head.pk,
        stream_id=head.stream.stream_id,
        fingerprint=head.stream.fingerprint,
        end=head.next_event_id,
        closed=head.closed,
        pruned=head.stream.pruned_at is not None,
        created=created,
    )
