"""What SQL knows of a log whose live part is elsewhere, and keeps of it when it is closed. Synchronous."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streaming.eventlog.database import Closing, without_producer
from streaming.models import StreamHead


@dataclass(frozen=True, slots=True)
class Place:
    """A log's head in SQL. ``token`` is the stream's own, also where another database has the same key."""

    token: str
    attempt: int
    end: int
    closed: bool


def select_places(streams: list[int]) -> list[Place | None]:
    """The heads of some streams; None for one that does not exist."""
    rows = StreamHead.objects.filter(pk__in=streams).values_list("pk", "claim", "attempt", "next_event_id", "closed")
    found = {
        stream: Place(f"{stream}-{claim.hex}", attempt, end, closed) for stream, claim, attempt, end, closed in rows
    }
    return [found.get(stream) for stream in streams]


def find_closable(closings: list[Closing]) -> list[Place | None]:
    """The heads of the streams that are closed, or may be: see ``EventLog.close``. None for the others."""
    places = select_places([closing.stream for closing in closings])
    orphans = without_producer({closing.stream for closing in closings if closing.attempt is None})
    return [
        place if _is_closable(closing, place, orphans) else None
        for closing, place in zip(closings, places, strict=True)
    ]


def run_records(records: list[Callable[[], None]]) -> list[None]:
    """Run what is recorded with appends that are made elsewhere."""
    for record in records:
        record()
    return [None] * len(records)


def _is_closable(closing: Closing, place: Place | None, orphans: set[int]) -> bool:
    if place is None or place.closed:
        return place is not None
    return closing.stream in orphans if closing.attempt is None else closing.attempt == place.attempt
