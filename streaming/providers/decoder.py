"""Decoder of an upstream's Server-Sent Events: bytes in, events out, no I/O.

Follows the HTML standard's event stream format, with one leniency: an event at the end of the
stream counts without its blank line, because some servers leave that away after ``[DONE]``.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""The longest line and the longest event's data that are accepted, in bytes."""

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event: its name (empty: unnamed) and its ``data`` lines, joined by LF."""

    event: bytes
    data: bytes


class EventTooLarge(ValueError):
    """A line or an event's data is longer than the limit."""


class EventDecoder:
    """Takes a byte stream in whatever pieces it comes, and gives the events that became complete.

    Lines end with LF, CRLF or CR. Holds at most twice ``max_event_bytes``; the work is linear in the
    bytes fed. Raises EventTooLarge, after which the decoder is of no use.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()
        self._event = b""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that ``chunk`` completes, in order."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        lines = chunk.splitlines()
        rest = b"" if chunk.endswith((b"\r", b"\n")) else lines.pop()
        events = self._read_lines(lines) if lines else []
        self._line += rest
        if len(self._line) > self._max_event_bytes:
            raise EventTooLarge("a line is too long")
        return events

    def flush(self) -> list[ServerSentEvent]:
        """The events that the end of the stream completes."""
        return self._read_lines([b"", b""])

    def _read_lines(self, lines: list[bytes]) -> list[ServerSentEvent]:
        if self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        if self._at_start:
            lines[0] = lines[0].removeprefix(_BOM)
            self._at_start = False
        events: list[ServerSentEvent] = []
        for line in lines:
            if line:
                self._read_field(line)
                continue
            if self._data:
                events.append(ServerSentEvent(self._event, b"\n".join(self._data)))
                self._data = []
                self._data_bytes = 0
            self._event = b""
        return events

    def _read_field(self, line: bytes) -> None:
        if len(line) > self._max_event_bytes:
            raise EventTooLarge("a line is too long")
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._max_event_bytes + 1:
                raise EventTooLarge("an event is too long")
        elif field == b"event":
            self._event = value
