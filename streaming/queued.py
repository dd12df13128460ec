"""Queued starts in SQL, which alone says who has one: taken by one compare-and-set on the head, or by nobody.

Synchronous; ``take_all`` runs in a transaction of its caller.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from streaming.ledger import prices_of
from streaming.models import Status, Stream, StreamHead
from streaming.pricing import Prices


@dataclass(frozen=True, slots=True)
class Take:
    """A process wants a queued stream for its own: to dispatch it, or to close it with nobody asked.

    ``claim``: of the start, where the stream's key comes from elsewhere; another database may have the same key.
    ``at`` tells this take from every other, also where it is repeated.
    """

    stream: int
    process: int
    claim: uuid.UUID | None = None
    dispatch: bool = True
    at: datetime = field(default_factory=timezone.now)


class Taken(Enum):
    """What became of a take."""

    DISPATCHED = "dispatched"
    """The stream is this process's, and on record as about to go to its provider."""
    HELD = "held"
    """It is this process's, for it to close: its provider will never be asked."""
    MISSED = "missed"
    """It is somebody else's, or closed, or there is none."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A stream that waits for a worker."""

    key: int
    claim: uuid.UUID
    created_at: datetime
    cancelled: bool

    @property
    def token(self) -> str:
        return to_token(self.key, self.claim)


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker has to know of a start: all that its request asked for, and the prices of its day."""

    stream_id: str
    request_id: str
    model: str
    message: str
    system: str | None
    temperature: float | None
    max_tokens: int | None
    parent: int | None
    prices: Prices | None
    prompt_tokens: int
    waited: float
    """Seconds since it was made."""


def to_token(key: int, claim: uuid.UUID) -> str:
    """What is handed over of a start: its name, that is no other's in any database."""
    return f"{key}-{claim.hex}"


def parse_token(token: str) -> tuple[int, uuid.UUID]:
    """The key and the claim that a token names. Raises ValueError."""
    key, _, claim = token.partition("-")
    return int(key), uuid.UUID(hex=claim)


def take_all(takes: list[Take]) -> list[Taken]:
    """Take queued streams, each at most once over all processes; in the order of their keys, as heads are locked."""
    taken = {id(take): _take(take) for take in sorted(takes, key=lambda take: take.stream)}
    return [taken[id(take)] for take in takes]


def find_queued() -> list[Queued]:
    """The streams that wait for a worker, oldest first."""
    rows = Stream.objects.filter(status=Status.QUEUED, head__attempt=0).order_by("created_at", "pk")
    facts = rows.values_list("pk", "head__claim", "created_at", "cancel_requested_at")
    return [Queued(key, claim, created_at, cancel is not None) for key, claim, created_at, cancel in facts]


def find_order(stream: int, claim: uuid.UUID) -> Order | None:
    """What a queued start asks for; None where it is not queued any more."""
    rows = Stream.objects.select_related("cost").filter(head__attempt=0, head__claim=claim)
    if (row := rows.filter(pk=stream, status=Status.QUEUED).first()) is None:
        return None
    return Order(
        stream_id=row.stream_id,
        request_id=row.request_id,
        model=row.model,
        message=row.message,
        system=row.system,
        temperature=row.temperature,
        max_tokens=row.max_tokens,
        parent=row.parent_id,
        prices=prices_of(row.cost),
        prompt_tokens=row.cost.prompt_tokens,
        waited=max(0.0, (timezone.now() - row.created_at).total_seconds()),
    )


def find_installation() -> str:
    """Names this database among others that hand over by the same Redis: when its tables were made."""
    made = MigrationRecorder(connection).migration_qs.filter(app=Stream._meta.app_label)
    first = made.order_by("pk").values_list("applied", flat=True)[0]
    return format(round(first.timestamp() * 1_000_000), "x")


def _take(take: Take) -> Taken:
    heads = StreamHead.objects.filter(pk=take.stream, closed=False)
    if take.claim is not None:
        heads = heads.filter(claim=take.claim)
    won = heads.filter(attempt=0).update(attempt=1, process=take.process)
    if not won and not heads.filter(attempt=1, process=take.process).exists():
        return Taken.MISSED
    stream = Stream.objects.filter(pk=take.stream)
    if won and take.dispatch:
        stream.filter(cancel_requested_at__isnull=True).update(dispatched_at=take.at, status=Status.STREAMING)
    dispatched, cancelled = stream.values_list("dispatched_at", "cancel_requested_at").get()
    if take.dispatch and dispatched == take.at:
        return Taken.DISPATCHED
    # Won, or won before, where the outcome of that was not known.
    return Taken.HELD if dispatched is None and (cancelled is not None or not take.dispatch) else Taken.MISSED
