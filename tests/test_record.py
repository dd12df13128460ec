"""Records: what was packed comes back byte for byte, from every place, whatever version packed it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.eventlog.record import Record, pack
from streaming.events import Event, EventType, encode
from streaming.sse import frame

ALPHABET = 'ab "\\/\n\0\x7f\x85é世😀\u2028\ud800\udfff'
GOLDEN = Path(__file__).parent / "golden"

chunks = st.builds(
    lambda content, tokens, cost: (
        EventType.MESSAGE_CHUNK,
        encode({"content": content, "tokens": tokens, "cost_usd": cost}),
    ),
    st.text(
        st.characters(codec="utf-16", exclude_characters="") | st.sampled_from("\ud800\udfffé世😀\n\0"), max_size=8
    ),
    st.integers(0, 9),
    st.sampled_from([None, 6e-07, 1.2e-06, 0.0]),
)
others = st.tuples(
    st.sampled_from(EventType),
    st.one_of(
        st.just("{}"),
        st.builds(
            encode, st.dictionaries(st.sampled_from(["content", "tokens", "a"]), st.sampled_from([None, 1, "a"]))
        ),
        st.sampled_from(['{"content":"\\/","tokens":1}', '{"content":"a', '{"content":1}', '{"content":"a"}}']),
    ),
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.one_of(chunks, others), st.integers(-5, 10**7)), min_size=1, max_size=20),
    st.integers(0, 10**6),
)
def test_any_events_come_back_as_they_were(made: list[tuple[tuple[EventType, str], int]], first: int) -> None:
    events = [Event(first + n, kind, data, elapsed) for n, ((kind, data), elapsed) in enumerate(made)]
    record = Record(first, pack(events))
    assert list(record.events()) == events
    for place, event in enumerate(events):
        assert list(record.events(event.event_id)) == events[place + 1 :]
    assert record.last_event_id == events[-1].event_id
    assert record.last() == events[-1]


@settings(deadline=None)
@given(st.lists(chunks, max_size=20), st.integers(0, 30))
def test_its_text_is_that_of_its_chunks(made: list[tuple[EventType, str]], end: int) -> None:
    events = [Event(n, kind, data) for n, (kind, data) in enumerate([*made, (EventType.DONE, "{}")])]
    contents = [json.loads(event.data)["content"] for event in events[:-1]]
    record = Record(0, pack(events))
    assert record.text() == "".join(contents)
    assert record.text(end) == "".join(contents[:end])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("log_*.json")), ids=lambda path: path.stem)
def test_logs_of_released_formats_replay_byte_for_byte(path: Path) -> None:
    log = json.loads(path.read_text())
    events = [Event(n, EventType(kind), data, elapsed) for n, (kind, data, elapsed) in enumerate(log["events"])]
    assert b"".join(map(frame, events)) == log["frames"].encode()
    assert list(Record(0, base64.b64decode(log["record"])).events()) == events
    assert list(Record(0, pack(events)).events()) == events


def test_a_record_of_a_later_format_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown format"):
        Record(0, b"\xff" + pack([Event(0, EventType.DONE, "{}")])[1:])


def test_an_ordinary_answer_takes_less_than_four_bytes_a_token() -> None:
    text = (Path(__file__).parent.parent / "docs" / "PROTOCOL.md").read_text()
    words = [word + " " for word in text.replace("\n", " ").split(" ")][:1000]
    events = [
        Event(
            n, EventType.MESSAGE_CHUNK, encode({"content": word, "tokens": 1, "cost_usd": 6e-07}), 20 * n + n * n % 13
        )
        for n, word in enumerate(words)
    ]
    assert len(pack(events)) < 4 * len(events)
