"""The turns that are sent along, over random trees, against a model that is too simple to be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.context import MAX_TURNS, room_for_turns, turns_to
from streaming.events import EventType, encode
from streaming.models import Stream, StreamEvent
from streaming.pricing import count_tokens
from streaming.providers.base import Model, Turn
from tests.conformance.conftest import connected_to


@dataclass(frozen=True)
class Node:
    """A stream of a tree; ``parent`` is the number of an earlier one."""

    parent: int | None
    message: str
    chunks: tuple[str, ...]
    finished: bool = True


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """A database of each kind, that the examples share."""
    url = request.getfixturevalue(request.param).new()
    with django_db_blocker.unblock(), connected_to(url):  # type: ignore[attr-defined]
        yield


def plant(tree: list[Node]) -> list[int]:
    """The keys of the streams of a new tree."""
    StreamEvent.objects.all().delete()
    Stream.objects.update(parent=None)
    Stream.objects.all().delete()
    now = timezone.now()
    keys: list[int] = []
    for number, node in enumerate(tree):
        stream = Stream.objects.create(
            stream_id=f"s{number}",
            parent_id=None if node.parent is None else keys[node.parent],
            message=node.message,
            created_at=now,
            finished_at=now if node.finished else None,
        )
        keys.append(stream.pk)
    # Event by event, not stream by stream, as they come when several are live.
    rows = [
        StreamEvent(stream_id=key, event_id=place, type=EventType.MESSAGE_CHUNK, data=chunk, elapsed_ms=0)
        for key, node in zip(keys, tree, strict=True)
        for place, chunk in enumerate(encode({"content": text}) for text in node.chunks)
    ]
    ends = [
        StreamEvent(stream_id=key, event_id=len(node.chunks), type=EventType.DONE, data="{}", elapsed_ms=0)
        for key, node in zip(keys, tree, strict=True)
    ]
    StreamEvent.objects.bulk_create(sorted([*rows, *ends], key=lambda row: (row.event_id, row.stream_id)))
    return keys


def expected(tree: list[Node], parent: int | None, room: int) -> list[Turn]:
    """Walk up, one by one; then drop the oldest whole turn until the rest fits."""
    path: list[tuple[str, str]] = []
    steps = 0
    while parent is not None and steps < MAX_TURNS:
        node = tree[parent]
        if node.finished and "".join(node.chunks):
            path.insert(0, (node.message, "".join(node.chunks)))
        parent = node.parent
        steps += 1
    while path and sum(count_tokens(message) + count_tokens(answer) for message, answer in path) > room:
        path.pop(0)
    return [turn for message, answer in path for turn in (Turn("user", message), Turn("assistant", answer))]


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    size = draw(st.integers(1, 12))
    return [
        Node(
            parent=draw(st.none() | st.integers(max(0, number - 3), number - 1)) if number else None,
            message=draw(texts),
            chunks=tuple(draw(st.lists(texts, max_size=3))),
            finished=draw(st.integers(0, 5)) > 0,
        )
        for number in range(size)
    ]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tree=trees(), room=st.integers(-5, 120))
def test_the_newest_turns_of_the_path_that_fit(database: None, tree: list[Node], room: int) -> None:
    keys = plant(tree)
    for number, key in enumerate(keys):
        assert turns_to(key, room) == expected(tree, number, room)
    assert turns_to(None, room) == []


def test_a_turn_that_is_too_long_ends_it_though_an_older_one_would_fit(database: None) -> None:
    tree = [Node(None, "old", ("old",)), Node(0, "x" * 400, ("long",)), Node(1, "new", ("new",))]
    keys = plant(tree)
    assert [turn.content for turn in turns_to(keys[-1], 50)] == ["new", "new"]
    assert [turn.content for turn in turns_to(keys[-1], 2)] == ["new", "new"]
    assert turns_to(keys[-1], 1) == []


def test_a_long_path_takes_few_queries(database: None) -> None:
    tree = [Node(number - 1 if number else None, f"q{number}", (f"a{number}",)) for number in range(MAX_TURNS + 50)]
    keys = plant(tree)
    with CaptureQueriesContext(connection) as queries:
        turns = turns_to(keys[-1], 10**6)
    assert turns == expected(tree, len(tree) - 1, 10**6)
    assert (len(turns), turns[0].content) == (2 * MAX_TURNS, "q50")
    assert len(queries) <= 9
    with CaptureQueriesContext(connection) as queries:
        turns_to(keys[-1], 20)
    assert len(queries) == 2, "what has no room is not read"


@pytest.mark.parametrize(
    ("window", "message", "system", "max_tokens", "room"),
    [
        (128_000, "x" * 40, None, None, 128_000 - 4096 - 10),
        (128_000, "x" * 40, "y" * 400, 1000, 128_000 - 1000 - 110),
        (1000, "x" * 40, None, None, 490),
        (1000, "x" * 40, None, 1_000_000, 490),
        (100, "x" * 4000, None, None, -950),
        (None, "x" * 40, None, None, 32_000 - 4096 - 10),
    ],
)
def test_the_room_is_the_window_without_the_request_and_the_answer(
    window: int | None, message: str, system: str | None, max_tokens: int | None, room: int
) -> None:
    assert room_for_turns(Model("m", "p", None, window), message, system, max_tokens) == room
