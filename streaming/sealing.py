"""Sealing: the rows of a closed log become records, some time after its end. Synchronous.

A log that is closed does not change any more, so that it is packed before, and only put in place of its rows in, the
transaction that locks it. Whoever comes second, or after pruning, finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from streaming.eventlog.record import RECORD_EVENTS, Record, pack
from streaming.eventlog.stored import events_between
from streaming.events import Event
from streaming.models import Stream, StreamEvent, StreamRecord
from streaming.retention import take

PART_BYTES = 1000
"""Four parts fill a page of SQLite; PostgreSQL keeps them in the row, and uncompressed."""


class Unsealable(Exception):
    """A log that would not come back as it is: it has a hole, or no end."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The records of a closed log, each with the id of its first event."""

    stream: int
    events: int
    records: list[tuple[int, bytes]]


def find_sealable(before: datetime, without: Collection[int] = ()) -> list[int]:
    """Some closed streams that ended before ``before`` and have their events in rows, the oldest first."""
    waiting = Stream.objects.filter(finished_at__lt=before, sealed_at__isnull=True, pruned_at__isnull=True)
    return take(waiting.exclude(pk__in=without).order_by("finished_at"))


def pack_log(stream: int) -> Packed:
    """Pack a closed log, and make sure that it can be unpacked. Raises Unsealable."""
    packed = Packed(stream, 0, [])
    end, last = 0, None
    for events in _pieces(stream):
        data = pack(events)
        if events[0].event_id != end or list(Record(end, data).events()) != events:
            raise Unsealable(f"the log of stream {stream} is not whole at event {end}")
        packed.records.append((end, data))
        end, last = events[-1].event_id + 1, events[-1]
    if last is None or not last.type.is_terminal:
        raise Unsealable(f"the log of stream {stream} has no terminal event")
    return Packed(stream, end, packed.records)


def seal_all(logs: list[Packed]) -> list[bool]:
    """Put records in place of rows; answers which logs this call has sealed. In a transaction of the caller."""
    by_stream = {log.stream: log for log in logs}
    waiting = Stream.objects.filter(pk__in=by_stream, sealed_at__isnull=True, pruned_at__isnull=True, head__closed=True)
    locked = waiting.order_by("pk").select_for_update(skip_locked=True, no_key=True, of=("self",))
    mine = set(locked.values_list("pk", flat=True))
    for log in (by_stream[key] for key in sorted(mine)):
        StreamRecord.objects.bulk_create(_parts(log))
        deleted, _ = StreamEvent.objects.filter(stream=log.stream).delete()
        if deleted != log.events:
            raise Unsealable(f"the log of stream {log.stream} has {deleted} rows and not {log.events}")
    Stream.objects.filter(pk__in=mine).update(sealed_at=timezone.now())
    return [log.stream in mine for log in logs]


def _pieces(stream: int) -> Iterator[list[Event]]:
    first = 0
    while events := events_between(stream, first, first + RECORD_EVENTS - 1):
        yield events
        first = events[-1].event_id + 1


def _parts(log: Packed) -> Iterator[StreamRecord]:
    for first, data in log.records:
        count = -(-len(data) // PART_BYTES)
        size = -(-len(data) // count)
        for part in range(count):
            piece = data[part * size : (part + 1) * size]
            yield StreamRecord(stream_id=log.stream, first_event_id=first, part=part, data=piece)
