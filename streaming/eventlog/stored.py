"""What SQL holds of the logs: events as rows and, once a log is sealed, as records. Synchronous reads.

Rows are asked for first, and records where there are none. In one transaction all rows of a log become its records, and
never rows again: so who found no rows finds the records, unless the log was pruned meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, starmap
from operator import itemgetter

from django.db import connection
from django.db.models import F, Max, OuterRef, Subquery

from streaming.errors import LogGone
from streaming.eventlog.base import PAGE_BYTES, PAGE_EVENTS
from streaming.eventlog.record import Record
from streaming.events import Event, EventType
from streaming.models import Stream, StreamEvent, StreamHead, StreamRecord

FRAME_OVERHEAD = 64
"""About what a frame has besides its data."""

EVENTS = StreamEvent._meta.db_table
RECORDS = StreamRecord._meta.db_table
SELECT_EVENTS = (
    f"SELECT event_id, type, data, elapsed_ms FROM {EVENTS}"
    " WHERE stream_id = %s AND event_id > %s ORDER BY event_id LIMIT %s"
)
SELECT_RECORD = (
    f"SELECT first_event_id, data FROM {RECORDS} WHERE stream_id = %s AND first_event_id ="
    f" (SELECT MAX(first_event_id) FROM {RECORDS} WHERE stream_id = %s AND first_event_id <= %s) ORDER BY part"
)
IS_THERE = (
    f"SELECT 1 WHERE EXISTS (SELECT 1 FROM {EVENTS} WHERE stream_id = %s AND event_id = %s)"
    f" OR EXISTS (SELECT 1 FROM {RECORDS} WHERE stream_id = %s AND first_event_id = 0 AND part = 0)"
)


@dataclass(frozen=True, slots=True)
class Part:
    """Some events of a log, in order. ``goes_on``: there are more after them."""

    events: list[Event] = field(default_factory=list)
    goes_on: bool = False

    @property
    def is_full(self) -> bool:
        """Whether a later part from the same place is the same: it is a whole page, or has the log's end."""
        return self.goes_on or (bool(self.events) and self.events[-1].type.is_terminal)


def read_part(stream: int, after: int) -> Part:
    """The events after ``after``: about a page of frames, at least one where there is any. Raises LogGone."""
    with connection.cursor() as cursor:
        cursor.execute(SELECT_EVENTS, (stream, after, PAGE_EVENTS + 1))
        part = _part(_rows(cursor), after)
    if part.events or (record := _find_record(stream, after + 1)) is None:
        return part
    part = _part(record.events(after), after)
    # A sealed log goes on to its terminal event.
    return Part(part.events, goes_on=bool(part.events) and not part.events[-1].type.is_terminal)


def is_there(stream: int, event_id: int) -> bool:
    """Whether a log still has an event that it once had."""
    with connection.cursor() as cursor:
        cursor.execute(IS_THERE, (stream, event_id, stream))
        return cursor.fetchone() is not None


def events_between(stream: int, first: int, last: int) -> list[Event]:
    """The events from ``first`` to ``last`` that there are."""
    rows = StreamEvent.objects.filter(stream=stream, event_id__gte=first, event_id__lte=last).order_by("event_id")
    events = [_event(*row) for row in rows.values_list("event_id", "type", "data", "elapsed_ms")]
    while not events or events[-1].event_id < last:
        after = events[-1].event_id if events else first - 1
        record = _find_record(stream, after + 1)
        found = [] if record is None else [event for event in record.events(after) if event.event_id <= last]
        if not found:
            break
        events += found
    return events


def text_until(stream: int, end: int) -> str:
    """What the events of a log before the id ``end`` say."""
    rows = StreamEvent.objects.filter(stream=stream, event_id__lt=end, type=EventType.MESSAGE_CHUNK)
    datas = rows.order_by("event_id").values_list("data", flat=True)
    text = "".join(json.loads(data)["content"] for data in datas.iterator())
    return text or "".join(record.text(end) for record in _records([stream]).get(stream, ()))


def texts_of(streams: list[int]) -> dict[int, str]:
    """What logs say, by stream; those that say nothing may be missing."""
    rows = StreamEvent.objects.filter(stream__in=streams, type=EventType.MESSAGE_CHUNK)
    parts: dict[int, list[str]] = {}
    for key, data in rows.order_by("stream_id", "event_id").values_list("stream_id", "data").iterator():
        parts.setdefault(key, []).append(json.loads(data)["content"])
    for key, records in _records([key for key in streams if key not in parts]).items():
        parts[key] = [record.text() for record in records]
    return {key: "".join(contents) for key, contents in parts.items()}


def terminals_of(streams: list[int]) -> dict[int, Event]:
    """The terminal events, by stream, of the logs that have one and are not pruned."""
    last = StreamEvent.objects.filter(stream__in=streams, event_id=F("stream__head__next_event_id") - 1)
    rows = last.filter(type__gte=EventType.DONE).values_list("stream_id", "event_id", "type", "data", "elapsed_ms")
    found = {key: _event(event_id, kind, data, ms) for key, event_id, kind, data, ms in rows}
    for key, records in _records([key for key in streams if key not in found], only_last=True).items():
        found[key] = records[-1].last()
    return found


def select_heads(streams: list[int]) -> dict[int, tuple[int, bool]]:
    """``(next event id, closed)`` by stream."""
    rows = StreamHead.objects.filter(pk__in=streams).values_list("pk", "next_event_id", "closed")
    return {stream: (end, closed) for stream, end, closed in rows}


def select_pruned(streams: list[int]) -> list[int]:
    """Those whose events are gone."""
    return list(Stream.objects.filter(pk__in=streams, pruned_at__isnull=False).values_list("pk", flat=True))


def _part(events: Iterator[Event], after: int) -> Part:
    """The first of some events: as many as make a page."""
    taken: list[Event] = []
    size = 0
    for event in events:
        if event.event_id != after + 1 + len(taken):
            raise LogGone
        size += len(event.data) + FRAME_OVERHEAD
        if len(taken) == PAGE_EVENTS or (taken and size > PAGE_BYTES):
            return Part(taken, goes_on=True)
        taken.append(event)
    return Part(taken)


def _rows(cursor) -> Iterator[Event]:  # type: ignore[no-untyped-def]  # Django's wrapper of a cursor
    while rows := cursor.fetchmany(64):
        yield from starmap(_event, rows)


def _event(event_id: int, kind: int, data: str, elapsed_ms: int) -> Event:
    return Event(event_id, EventType(kind), data, elapsed_ms)


def _find_record(stream: int, event_id: int) -> Record | None:
    """The record that has an event, or the last one before it."""
    with connection.cursor() as cursor:
        cursor.execute(SELECT_RECORD, (stream, stream, event_id))
        parts = cursor.fetchall()
    return Record(parts[0][0], b"".join(data for _, data in parts)) if parts else None


def _records(streams: list[int], *, only_last: bool = False) -> dict[int, list[Record]]:
    """The records of sealed logs by stream, in order; in one statement, so of one moment."""
    if not streams:
        return {}
    parts = StreamRecord.objects.filter(stream__in=streams)
    if only_last:
        ends = StreamRecord.objects.filter(stream=OuterRef("stream")).order_by().values("stream")
        parts = parts.filter(first_event_id=Subquery(ends.annotate(end=Max("first_event_id")).values("end")))
    rows = parts.order_by("stream_id", "first_event_id", "part").values_list("stream_id", "first_event_id", "data")
    found: dict[int, list[Record]] = {}
    for (stream, first), group in groupby(rows, itemgetter(0, 1)):
        found.setdefault(stream, []).append(Record(first, b"".join(data for *_, data in group)))
    return found
