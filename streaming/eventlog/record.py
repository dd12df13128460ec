"""The record: some events of a closed log, packed into a few bytes each, and back exactly as they were. Pure.

A log is a text, cut into contents, and what stands around them. Of an event's data ``{"content":"Hello","tokens":1,
"cost_usd":6e-07}`` the content goes to the text; the rest is its shape, of which a log has few. The shape
of an event is foretold by the length of its content, and written down only where that is wrong. Data of any other
look is a shape as a whole. Nothing is computed anew: no price, and no way of counting tokens, is part of the format.

Three columns are compressed, each for itself, because their bytes have nothing in common: the text; the cuts; the
waits between the events.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence

import msgspec

from streaming.events import Event, EventType, quote

RECORD_FORMAT = 1
"""The first byte of a record. A record of any released version is unpacked to the same events."""

RECORD_EVENTS = 4096
"""The most events of one record; a longer log is several, so that a place in it is found without reading it all."""

_BEFORE = '{"content":'
_unquote = json.JSONDecoder().raw_decode


class Shape(msgspec.Struct, array_like=True, frozen=True):
    """An event's type and its data; where ``has_content``, what follows the content in it."""

    type: int
    data: str
    has_content: bool

    @property
    def hides_content(self) -> bool:
        """Whether there is a content in the data that is not in the text."""
        return self.type == EventType.MESSAGE_CHUNK and not self.has_content


class Cuts(msgspec.Struct, array_like=True):
    """How the text is cut, and what stands around the pieces."""

    shapes: list[Shape]
    steps: list[int]
    """For each event the place of its shape, from 1; 0: that of the last content of the same length."""
    lengths: list[int]
    """In characters, of each content."""


_envelope = msgspec.msgpack.Decoder(tuple[bytes, bytes, bytes])
_cuts = msgspec.msgpack.Decoder(Cuts)
_waits = msgspec.msgpack.Decoder(list[int])


def pack(events: Sequence[Event]) -> bytes:
    """The record of events whose ids are contiguous."""
    shapes: dict[Shape, int] = {}
    foretold: dict[int, int] = {}
    cuts = Cuts([], [], [])
    contents: list[str] = []
    waits: list[int] = []
    elapsed_ms = 0
    for event in events:
        shape, content = _split(event)
        place = shapes.setdefault(shape, len(shapes) + 1)
        if content is None:
            cuts.steps.append(place)
        else:
            cuts.steps.append(0 if foretold.get(len(content)) == place else place)
            foretold[len(content)] = place
            cuts.lengths.append(len(content))
            contents.append(content)
        waits.append(event.elapsed_ms - elapsed_ms)
        elapsed_ms = event.elapsed_ms
    cuts.shapes = list(shapes)
    columns = ("".join(contents).encode(), msgspec.msgpack.encode(cuts), msgspec.msgpack.encode(waits))
    return bytes([RECORD_FORMAT]) + msgspec.msgpack.encode([_deflate(column) for column in columns])


class Record:
    """The packed events from ``first`` on. Raises ValueError where ``data`` is not a record of a known format."""

    def __init__(self, first: int, data: bytes) -> None:
        if data[:1] != bytes([RECORD_FORMAT]):
            raise ValueError(f"a record of an unknown format: {data[:1]!r}")
        self._first = first
        self._text, cuts, self._waits = _envelope.decode(memoryview(data)[1:])
        self._cuts = _cuts.decode(_inflate(cuts))

    @property
    def last_event_id(self) -> int:
        return self._first + len(self._cuts.steps) - 1

    def events(self, after: int = -1) -> Iterator[Event]:
        """The events after ``after``, in order."""
        text = _inflate(self._text).decode()
        shapes, lengths = self._cuts.shapes, iter(self._cuts.lengths)
        foretold: dict[int, Shape] = {}
        start = elapsed_ms = 0
        waits = _waits.decode(_inflate(self._waits))
        for event_id, (step, wait) in enumerate(zip(self._cuts.steps, waits, strict=True), self._first):
            elapsed_ms += wait
            shape = shapes[step - 1] if step else None
            if shape is not None and not shape.has_content:
                data = shape.data
            else:
                length = next(lengths)
                if shape is None:
                    shape = foretold[length]
                else:
                    foretold[length] = shape
                end = start + length
                if event_id <= after:
                    start = end
                    continue
                data = f"{_BEFORE}{quote(text[start:end])}{shape.data}"
                start = end
            if event_id > after:
                yield Event(event_id, EventType(shape.type), data, elapsed_ms)

    def text(self, end: int | None = None) -> str:
        """What the chunks say; with ``end``, those before that id."""
        end = self.last_event_id + 1 if end is None else end
        if end > self.last_event_id and not any(shape.hides_content for shape in self._cuts.shapes):
            return _inflate(self._text).decode()
        return "".join(_content(event) for event in self.events() if event.event_id < end)

    def last(self) -> Event:
        """The last event, without unpacking all."""
        *_, event = self.events(self.last_event_id - 1)
        return event


def _content(event: Event) -> str:
    return str(json.loads(event.data)["content"]) if event.type is EventType.MESSAGE_CHUNK else ""


def _split(event: Event) -> tuple[Shape, str | None]:
    """An event's shape and its content; None where its data is not what would be made of them."""
    data = event.data
    if event.type is EventType.MESSAGE_CHUNK and data.startswith(_BEFORE):
        try:
            content, end = _unquote(data, len(_BEFORE))
            # A lone surrogate has no form in UTF-8.
            if isinstance(content, str) and content.encode() and quote(content) == data[len(_BEFORE) : end]:
                return Shape(event.type, data[end:], True), content
        except ValueError:
            pass
    return Shape(event.type, data, False), None


def _deflate(column: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL)
    return packer.compress(column) + packer.flush()


def _inflate(column: bytes) -> bytes:
    return zlib.decompress(column, -zlib.MAX_WBITS)
