"""The decoder of upstream events: the standard's rules, whatever the pieces, within bounds."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.providers.decoder import EventDecoder, EventTooLarge, ServerSentEvent

STREAMS = st.lists(
    st.sampled_from(
        [
            b"data: ",
            b"data:",
            b"data",
            b"event: ",
            b"event:x",
            b"id: 7",
            b"retry: 1",
            b":",
            b" ",
            b"a",
            b"{}",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"\r\n\r\n",
            b"\xef\xbb\xbf",
            "ö".encode(),
            "😀".encode(),
            b"\x00",
            b"\x0b",
        ]
    ),
    max_size=40,
).map(b"".join)


def decode(*chunks: bytes) -> list[tuple[bytes, bytes]]:
    decoder = EventDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [(event.event, event.data) for event in events + decoder.flush()]


def data_of(*chunks: bytes) -> list[bytes]:
    return [data for _, data in decode(*chunks)]


def decode_by_the_standard(stream: bytes) -> list[tuple[bytes, bytes]]:
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[tuple[bytes, bytes]] = []
    name, data = b"", list[bytes]()
    for line in [*text.split(b"\n"), b""]:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            if data:
                events.append((name, b"\n".join(data)))
            name, data = b"", []
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return events


@given(STREAMS, st.lists(st.integers(0, 200), max_size=30))
def test_any_split_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    bytewise = [stream[i : i + 1] for i in range(len(stream))]
    assert decode(*pieces) == decode(*bytewise) == decode(stream) == decode_by_the_standard(stream)


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\r\n") == []
    assert decoder.feed(b"\r") == [ServerSentEvent(b"", b"a")]
    assert decoder.feed(b"\n") == []


def test_data_lines_are_joined_and_other_fields_ignored() -> None:
    stream = b": hello\nid: 3\nretry: 9\nevent: delta\ndata: one\ndata:two\ndata:  three\nfoo: bar\n\n"
    assert decode(stream) == [(b"delta", b"one\ntwo\n three")]


def test_the_name_of_an_event_does_not_outlive_it() -> None:
    assert decode(b"event: a\n\ndata: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\n") == [
        (b"", b"1"),
        (b"b", b"2"),
        (b"", b"3"),
    ]


def test_a_byte_order_mark_counts_only_at_the_start() -> None:
    assert data_of(b"\xef\xbb", b"\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\ndata: 3\n\n") == [b"1", b"3"]


def test_the_last_event_may_lack_its_blank_line() -> None:
    assert data_of(b"data: 1\n\ndata: [DO", b"NE]") == [b"1", b"[DONE]"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_line_beyond_the_limit_is_refused(size: int) -> None:
    decoder = EventDecoder(max_event_bytes=100)
    with pytest.raises(EventTooLarge):
        for _ in range(0, 1000, size):
            decoder.feed(b"x" * size)


@pytest.mark.parametrize("line", [b"data: 12345\n", b"data\n"])
def test_an_event_beyond_the_limit_is_refused(line: bytes) -> None:
    decoder = EventDecoder(max_event_bytes=100)
    with pytest.raises(EventTooLarge):
        for _ in range(200):
            decoder.feed(line)


def test_what_is_within_the_limit_passes() -> None:
    decoder = EventDecoder(max_event_bytes=100)
    for _ in range(50):
        assert decoder.feed(b"data: " + b"x" * 94 + b"\n\n") == [ServerSentEvent(b"", b"x" * 94)]


def test_a_long_line_in_small_pieces_is_not_scanned_again() -> None:
    size = 1024 * 1024
    decoder = EventDecoder()
    decoder.feed(b"data: ")
    for _ in range(size):
        decoder.feed(b"x")
    assert [len(event.data) for event in decoder.feed(b"\n\n")] == [size]
