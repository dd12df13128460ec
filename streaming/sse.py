"""Server-Sent Events on the wire: frames, comments, cursors. Pure.

The format is that of the HTML Standard, section 9.2 "Server-sent events".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from streaming.events import Event, EventType

RETRY_MS = 10_000
"""What every frame tells an EventSource to wait before it reconnects by itself."""

OPENING = b": ok\n\n"
"""The comment that leaves at once with the headers."""

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment between frames."""

UNDISPATCHED_ID = b"id: -1\n\n"
"""A block without data: dispatches nothing, but makes an EventSource's retry carry ``Last-Event-ID: -1``."""

CURSOR = re.compile(r"-1|[0-9]{1,30}", re.ASCII)
"""What a ``last_event_id`` looks like in a header or a query."""

REFUSED = "CR, LF and NUL cannot stand in a field of a server-sent event"
_FORBIDDEN = re.compile("[\r\n\0]")


def format_sse_event(event_type: str, data: str, event_id: int) -> str:
    """One frame: ``event``, ``id``, ``retry`` and ``data`` lines and the blank line that ends it.

    Raises ValueError where the type or the data holds CR, LF or NUL, which would end a line early.
    """
    if _FORBIDDEN.search(event_type) or _FORBIDDEN.search(data):
        raise ValueError(REFUSED)
    return f"event: {event_type}\nid: {event_id}\nretry: {RETRY_MS}\ndata: {data}\n\n"


_NAMES = ["", *(kind.wire_name for kind in EventType)]
"""By the number of the type: to look up an enum's member by itself takes as long as all the rest of a frame."""


def frame(event: Event) -> bytes:
    """The bytes of an event on the wire, a function of the event alone: as ``format_sse_event``, sooner."""
    if _FORBIDDEN.search(event.data):
        raise ValueError(REFUSED)
    name = _NAMES[event.type]
    return f"event: {name}\nid: {event.event_id}\nretry: {RETRY_MS}\ndata: {event.data}\n\n".encode()


def data_of(frames: bytes, event_type: str) -> Iterator[str]:
    """The data of the frames of one type, among frames that ``frame`` made."""
    start = f"event: {event_type}\n".encode()
    for each in frames.split(b"\n\n"):
        if each.startswith(start):
            yield each.partition(b"\ndata: ")[2].decode()


def parse_cursor(text: str) -> int | None:
    """A ``last_event_id`` as sent by a client, or None where it is not an integer ≥ -1."""
    return min(int(text), 2**62) if CURSOR.fullmatch(text) else None
