"""Claims: how a stream comes to be, at most once per owner and ``stream_id``, on however many processes.

Synchronous; ``claim_all`` runs in a transaction of its caller.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from streaming import ledger
from streaming.conf import settings
from streaming.context import chain_to
from streaming.errors import (
    ConversationErased,
    FieldError,
    InvalidRequest,
    Limited,
    NotContinuable,
    Refusal,
    Unavailable,
)
from streaming.events import FinishReason
from streaming.inserts import insert
from streaming.limits import RETRY_SECONDS, Demand, Gate
from streaming.models import Conversation, Status, Stream, StreamHead
from streaming.params import Ask
from streaming.pricing import Prices

STREAMS, HEADS = Stream._meta.db_table, StreamHead._meta.db_table
FIND = (
    f"SELECT s.id, s.fingerprint, h.next_event_id, h.closed, s.pruned_at IS NOT NULL, h.claim FROM {STREAMS} s"
    f" JOIN {HEADS} h ON h.stream_id = s.id WHERE s.issuer = %s AND s.user_id = %s AND s.stream_id = %s"
)
"""What every reader asks when it comes: by the ORM, half of its request's time."""

INHERITED = ("message", "model", "system", "temperature", "max_tokens", "template")
"""What a continuation has of the stream that it continues, besides its place."""


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
class Position:
    """Where a message stands: the stream that it follows, and its conversation; None for none.

    A continuation stands where the stream does that it ``continues``, and has its ``inherited`` fields.
    """

    parent: int | None = None
    conversation: str | None = None
    continues: int | None = None
    inherited: Mapping[str, Any] = field(default_factory=dict)


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
    process: int | None
    """None: none yet; the stream is queued for whoever takes it (see ``queued``)."""
    position: Position = field(default_factory=Position)
    request_id: str = ""
    address: str | None = None
    """Where an anonymous identity asks from, hashed; None for every other."""
    most_pico_usd: int | None = 0
    """The most that the call can cost; None where there is a budget and no price is known."""
    nonce: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def asked(self) -> dict[str, Any]:
        """What is asked in full: what a continuation leaves open is as with the stream that it continues."""
        return {**self.position.inherited, **self.ask.asked}

    @property
    def demand(self) -> Demand:
        """What it asks of the limits."""
        return Demand(self.owner.issuer, self.owner.user_id, self.address, self.most_pico_usd)


def find(owner: Owner, stream_id: str, nonce: uuid.UUID | None = None) -> Found | None:
    """An owner's stream by its id; ``nonce``: of the claim that may have made it."""
    with connection.cursor() as cursor:
        cursor.execute(FIND, (owner.issuer, owner.user_id, stream_id))
        row = cursor.fetchone()
    if row is None:
        return None
    key, fingerprint, end, closed, pruned, claim = row
    created = nonce is not None and uuid.UUID(str(claim)) == nonce
    return Found(key, stream_id, fingerprint, end, closed=bool(closed), pruned=bool(pruned), created=created)


def find_position(owner: Owner, ask: Ask) -> Position:
    """Where a message stands. With a parent alone it is in the parent's conversation.

    Raises Stream.DoesNotExist where the request names a parent that is not the owner's, InvalidRequest
    where the parent is in another conversation, ConversationErased, and with ``continues`` StreamPruned and
    NotContinuable.
    """
    streams = Stream.objects.owned_by(owner.issuer, owner.user_id)
    if continued := ask.asked.get("continues"):
        return _find_continued(owner, streams.select_related("head").get(stream_id=continued))
    parent, conversation = None, ask.asked.get("conversation_id")
    if parent_id := ask.asked.get("parent_id"):
        parent, its_own = streams.values_list("pk", "conversation_id").get(stream_id=parent_id)
        if conversation is not None and its_own not in {None, conversation}:
            raise InvalidRequest(FieldError("conversation_id", "is not the conversation of the parent_id"))
        conversation = conversation or its_own
    elif conversation is not None and not ask.asked.get("from_start"):
        finished = streams.filter(conversation_id=conversation, finished_at__isnull=False)
        parent = finished.order_by("-pk").values_list("pk", flat=True).first()
    _check_not_erased(owner, conversation)
    return Position(parent, conversation)


def _find_continued(owner: Owner, stream: Stream) -> Position:
    """The position of a continuation of ``stream``; what is gone is told before what cannot be continued."""
    _check_not_erased(owner, stream.conversation_id)
    chain_to(stream.pk)
    if not stream.head.closed:
        raise NotContinuable("its answer is still being written")
    if stream.status == Status.DONE and stream.finish_reason != FinishReason.LENGTH:
        raise NotContinuable("its answer is complete")
    fields = {name: getattr(stream, name) for name in INHERITED}
    inherited = {name: value for name, value in fields.items() if value is not None}
    return Position(stream.parent_id, stream.conversation_id, stream.pk, inherited)


def _check_not_erased(owner: Owner, conversation: str | None) -> None:
    if conversation is not None and _conversations(owner, conversation).filter(erased_at__isnull=False).exists():
        raise ConversationErased


def claim_all(claims: list[Claim], clock: Callable[[], datetime] = timezone.now) -> list[Found | Exception]:
    """Create the streams that do not exist yet; answers those that do, whoever made them.

    In an order that is the same for all processes, so that none waits for another that waits for it. What a
    limit refuses comes to be Limited, what is to be in a deleted conversation ConversationErased, what would wait
    in a queue that is full Unavailable, and all of them leave nothing behind.
    """
    gate, queue = Gate((claim.demand for claim in claims), clock), _Queue()
    found = {claim.nonce: _claim(claim, gate, queue) for claim in sorted(claims, key=_rank)}
    return [found[claim.nonce] for claim in claims]


def _rank(claim: Claim) -> tuple[str, ...]:
    return (claim.owner.issuer, claim.owner.user_id, claim.position.conversation or "", claim.stream_id)


def find_refusal(claim: Claim) -> Limited | None:
    """Why a limit would refuse a start now; locks nothing and promises nothing."""
    return Gate((), lock=False).refusal(claim.demand)


class _Queue:
    """The starts that wait for a worker, counted where one of a batch is to join them."""

    def __init__(self) -> None:
        self._size: int | None = None

    def is_full(self) -> bool:
        if self._size is None:
            self._size = Stream.objects.filter(status=Status.QUEUED).count()
        return self._size >= settings.STREAM_MAX_QUEUED

    def grow(self) -> None:
        """One more has joined."""
        self._size = (self._size or 0) + 1


def _claim(claim: Claim, gate: Gate, queue: _Queue) -> Found | Refusal:
    found = find(claim.owner, claim.stream_id, claim.nonce)
    if found is None:
        if (limited := gate.refusal(claim.demand)) is not None:
            return limited
        if claim.process is None and queue.is_full():
            return Unavailable("The server is full; try again.", retry_after=RETRY_SECONDS)
        try:
            found = _create(claim, gate.now)
            if claim.process is None:
                queue.grow()
        except ConversationErased as erased:
            return erased
        except IntegrityError:
            # Another process made it in between.
            found = find(claim.owner, claim.stream_id, claim.nonce)
            assert found is not None
    return found


def _create(claim: Claim, now: datetime) -> Found:
    """Raises IntegrityError where the stream is there already; then nothing has been written."""
    if claim.position.conversation is None:
        return _insert(claim, now)
    with transaction.atomic():
        _enter(claim.owner, claim.position.conversation, now)
        return _insert(claim, now)


def _insert(claim: Claim, now: datetime) -> Found:
    asked = claim.asked
    stream = Stream(
        issuer=claim.owner.issuer,
        user_id=claim.owner.user_id,
        stream_id=claim.stream_id,
        conversation_id=claim.position.conversation,
        parent_id=claim.position.parent,
        continues_id=claim.position.continues,
        fingerprint=claim.ask.fingerprint,
        request_id=claim.request_id,
        address=claim.address,
        model=claim.model,
        provider=claim.provider,
        message=asked["message"],
        system=asked.get("system"),
        temperature=asked.get("temperature"),
        max_tokens=asked.get("max_tokens"),
        template=claim.ask.template or asked.get("template"),
        status=Status.QUEUED if claim.process is None else Status.STREAMING,
        created_at=now,
        dispatched_at=None if claim.process is None else now,
    )
    # Not refused by the database: that would end PostgreSQL's transaction, and a savepoint for each start costs time.
    if not insert(stream, unless_there=True):
        raise IntegrityError
    insert(ledger.open_record(stream, claim.prompt_tokens, claim.prices, claim.most_pico_usd or 0))
    attempt = 0 if claim.process is None else 1
    insert(StreamHead(stream=stream, process_id=claim.process, attempt=attempt, claim=claim.nonce))
    return Found(stream.pk, claim.stream_id, stream.fingerprint, end=0, closed=False, pruned=False, created=True)


def _enter(owner: Owner, conversation_id: str, now: datetime) -> None:
    """Make the conversation, or note that it goes on. Its row is locked, so a deletion comes before or after."""
    if _conversations(owner, conversation_id).filter(erased_at__isnull=True).update(updated_at=now):
        return
    conversation, _ = _conversations(owner, conversation_id).get_or_create(
        issuer=owner.issuer,
        user_id=owner.user_id,
        conversation_id=conversation_id,
        defaults={"created_at": now, "updated_at": now},
    )
    if conversation.erased_at is not None:
        raise ConversationErased


def _conversations(owner: Owner, conversation_id: str) -> QuerySet[Conversation]:
    return Conversation.objects.filter(issuer=owner.issuer, user_id=owner.user_id, conversation_id=conversation_id)
