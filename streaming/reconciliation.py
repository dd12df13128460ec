"""Reconciliation: does the ledger still say what its counts, its unit prices and the logs say? Synchronous."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from streaming.eventlog.stored import terminals_of
from streaming.events import usd
from streaming.ledger import prices_of, usage_of
from streaming.models import CostRecord, CostState, Stream
from streaming.pricing import cost

BATCH = 500


@dataclass
class Findings:
    """What a look at the ledger brought. Amounts are integers of 10⁻¹² USD."""

    settled: int = 0
    events: int = 0
    """Terminal events that are still there, and were compared."""
    recorded: int = 0
    drift: int = 0
    """The sum of the differences to what the counts and unit prices come to, each without its sign."""
    wrong: list[str] = field(default_factory=list)
    """A sentence for each record that differs."""
    pending: list[str] = field(default_factory=list)
    """Closed streams whose record is not settled."""
    missing: list[str] = field(default_factory=list)
    """Streams without a record."""

    @property
    def ok(self) -> bool:
        return not (self.drift or self.wrong or self.pending or self.missing)


def reconcile(since: datetime | None = None, progress: Callable[[int], None] = lambda compared: None) -> Findings:
    """Compare the records of all streams, or of those created since; ``progress`` hears how many were."""
    found = Findings()
    streams = Stream.objects.all() if since is None else Stream.objects.filter(created_at__gte=since)
    found.missing = [_name(stream) for stream in streams.filter(cost__isnull=True).order_by("pk")]
    stuck = streams.filter(cost__state=CostState.PENDING, head__closed=True)
    found.pending = [_name(stream) for stream in stuck.order_by("pk")]
    records = CostRecord.objects.filter(stream__in=streams).exclude(state=CostState.PENDING)
    for batch in _batches(records.select_related("stream")):
        told = _told([record.pk for record in batch])
        for record in batch:
            _compare(record, told, found)
        progress(found.settled)
    return found


def _compare(record: CostRecord, told: dict[int, float | None], found: Findings) -> None:
    prices = prices_of(record)
    right = None if prices is None else cost(usage_of(record), prices)
    found.settled += 1
    found.recorded += record.total_pico_usd or 0
    if record.total_pico_usd != right:
        found.drift += abs((record.total_pico_usd or 0) - (right or 0))
        found.wrong.append(f"{_name(record.stream)}: recorded {record.total_pico_usd}, computed {right}")
    if record.pk in told:
        found.events += 1
        total = usd(record.total_pico_usd)
        if told[record.pk] != (None if total is None else float(total)):
            found.wrong.append(f"{_name(record.stream)}: recorded {total}, its terminal event says {told[record.pk]}")


def _told(streams: list[int]) -> dict[int, float | None]:
    """``total_cost`` of the terminal events that are still there, by stream."""
    return {stream: json.loads(event.data)["total_cost"] for stream, event in terminals_of(streams).items()}


def _batches(records: QuerySet[CostRecord]) -> Iterator[list[CostRecord]]:
    after = 0
    while batch := list(records.filter(pk__gt=after).order_by("pk")[:BATCH]):
        yield batch
        after = batch[-1].pk


def _name(stream: Stream) -> str:
    return f"{stream.issuer}:{stream.user_id}/{stream.stream_id}"
