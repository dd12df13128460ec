"""Frames and cursors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.events import Event, EventType, encode
from streaming.sse import format_sse_event, frame, parse_cursor
from tests.frames import Frame, Parser


def test_a_frame_has_exactly_the_lines_of_the_protocol() -> None:
    assert format_sse_event("message_chunk", '{"content":"Hello"}', 0) == (
        'event: message_chunk\nid: 0\nretry: 10000\ndata: {"content":"Hello"}\n\n'
    )


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\r\nb", "a\0b"])
def test_what_would_end_a_line_early_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="CR, LF and NUL"):
        format_sse_event("message_chunk", bad, 1)
    with pytest.raises(ValueError, match="CR, LF and NUL"):
        format_sse_event(bad, "{}", 1)


@pytest.mark.parametrize("kind", EventType)
def test_the_frame_of_an_event_is_that_of_its_fields(kind: EventType) -> None:
    event = Event(7, kind, '{"content":"Hello"}')
    assert frame(event) == format_sse_event(kind.wire_name, event.data, 7).encode()
    with pytest.raises(ValueError, match="CR, LF and NUL"):
        frame(Event(7, kind, "a\nb"))


@given(st.lists(st.text(st.characters()), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_text_comes_through_any_split_of_the_bytes(contents: list[str], cuts: list[int]) -> None:
    events = [Event(n, EventType.MESSAGE_CHUNK, encode({"content": text})) for n, text in enumerate(contents)]
    wire, parser = b"".join(map(frame, events)), Parser()
    parsed: list[Frame] = []
    position, turn = 0, 0
    while position < len(wire):
        parsed += parser.feed(wire[position : position + cuts[turn % len(cuts)]])
        position, turn = position + cuts[turn % len(cuts)], turn + 1
    assert [(f.event_id, f.data["content"]) for f in parsed] == list(enumerate(contents))
    assert parser.buffer == b""


@given(st.text(st.characters(codec=None)))
def test_data_is_one_line_of_printable_ascii_whatever_the_text(text: str) -> None:
    data = encode({"content": text})
    assert data.isascii() and data.isprintable()


@pytest.mark.parametrize(
    ("text", "cursor"),
    [("-1", -1), ("0", 0), ("41", 41), ("007", 7), ("9" * 30, 2**62)]
    + [(bad, None) for bad in ["", "-2", "+1", "1.0", "1e3", " 1", "1\n", "٣", "0x1", "1_000", "9" * 31, "-0"]],
)
def test_cursors(text: str, cursor: int | None) -> None:
    assert parse_cursor(text) == cursor
