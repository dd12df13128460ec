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

from streaming.context import MAX_TURNS, room_for_turns, text_so_far, turns_to
from streaming.errors import StreamPruned
from streaming.events import EventType, encode
from streaming.models import Stream, StreamEvent
from streaming.pricing import count_tokens
from streaming.providers.base import Model, Turn
from tests.conformance.conftest import connected_to


@dataclass(frozen=True)
class Node:
    """A stream of a tree; ``parent`` is the number of an earlier one, and so is ``continues``."""

    parent: int | None
    message: str
    chunks: tuple[str, ...]
    finished: bool = True
    continues: int | None = None


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """A database of each kind, that the examples share."""
    url = request.getfixturevalue(request.param).new()
    with django_db_blocker.unblock(), connected_to(url):  # type: ignore[attr-defined]
        yield


def plant(tree: list[Node]) -> list[int]:
    """The keys of the streams of a new tree."""
    StreamEvent.objects.all().delete()
    Stream.objects.update(parent=None, continues=None)
    Stream.objects.all().delete()
    now = timezone.now()
    keys: list[int] = []
    for number, node in enumerate(tree):
        stream = Stream.objects.create(
            stream_id=f"s{number}",
            parent_id=None if node.parent is None else keys[node.parent],
            continues_id=None if node.continues is None else keys[node.continues],
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


def chain(tree: list[Node], number: int) -> list[Node]:
    """A node, and before it those that it continues."""
    node = tree[number]
    return [node] if node.continues is None else [*chain(tree, node.continues), node]


def said(nodes: list[Node]) -> str:
    """The text of an answer in parts."""
    return "".join(text for node in nodes for text in node.chunks)


def expected(tree: list[Node], parent: int | None, room: int) -> list[Turn]:
    """Walk up, turn by turn; then drop the oldest whole turn until the rest fits."""
    path: list[tuple[str, str]] = []
    steps = 0
    while parent is not None and steps < MAX_TURNS:
        parts = chain(tree, parent)
        if all(part.finished for part in parts) and said(parts):
            path.insert(0, (parts[0].message, said(parts)))
        parent = parts[0].parent
        steps += 1
    while path and sum(count_tokens(message) + count_tokens(answer) for message, answer in path) > room:
        path.pop(0)
    return [turn for message, answer in path for turn in (Turn("user", message), Turn("assistant", answer))]


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    tree: list[Node] = []
    for number in range(draw(st.integers(1, 12))):
        earlier = st.none() | st.integers(max(0, number - 3), number - 1) if number else st.none()
        continued = draw(earlier) if draw(st.booleans()) else None
        first = None if continued is None else tree[continued]
        node = Node(
            parent=first.parent if first else draw(earlier),
            message=first.message if first else draw(texts),
            chunks=tuple(draw(st.lists(texts, max_size=3))),
            finished=draw(st.integers(0, 5)) > 0,
            continues=continued,
        )
        tree.append(node)
    return tree


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tree=trees(), room=st.integers(-5, 120))
def test_the_newest_turns_of_the_path_that_fit(database: None, tree: list[Node], room: int) -> None:
    keys = plant(tree)
    for number, key in enumerate(keys):
        assert turns_to(key, room) == expected(tree, number, room)
        assert text_so_far(key) == said(chain(tree, number))
    assert turns_to(None, room) == []
    assert text_so_far(None) == ""


def test_a_turn_that_is_too_long_ends_it_though_an_older_one_would_fit(database: None) -> None:
    tree = [Node(None, "old", ("old",)), Node(0, "x" * 400, ("long",)), Node(1, "new", ("new",))]
    keys = plant(tree)
    assert [turn.content for turn in turns_to(keys[-1], 50)] == ["new", "new"]
    assert [turn.content for turn in turns_to(keys[-1], 2)] == ["new", "new"]
    assert turns_to(keys[-1], 1) == []


def test_an_answer_in_parts_is_one_turn_to_what_follows_its_end(database: None) -> None:
    tree = [
        Node(None, "q", ("one ",)),
        Node(None, "q", ("two ",), continues=0),
        Node(None, "q", ("three",), continues=1),
        Node(2, "then?", ("so",)),
        Node(0, "and?", ("no",)),
    ]
    keys = plant(tree)
    assert [turn.content for turn in turns_to(keys[3], 99)] == ["q", "one two three", "then?", "so"]
    assert [turn.content for turn in turns_to(keys[4], 99)] == ["q", "one ", "and?", "no"]


def test_an_answer_of_many_parts_counts_as_one_of_the_turns(database: None) -> None:
    root = Node(None, "root", ("r",))
    parts = [Node(0, "q", (f"{number} ",), continues=number - 1 if number > 1 else None) for number in range(1, 251)]
    keys = plant([root, *parts])
    assert [turn.content for turn in turns_to(keys[-1], 9999)] == ["root", "r", "q", said(parts)]


def test_what_is_pruned_is_not_continued(database: None) -> None:
    keys = plant([Node(None, "q", ("one",)), Node(None, "q", ("two",), continues=0)])
    Stream.objects.filter(pk=keys[0]).update(pruned_at=timezone.now())
    with pytest.raises(StreamPruned):
        text_so_far(keys[1])


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
    model = Model("m", "p", None, window)
    assert room_for_turns(model, message, system, max_tokens) == room
    assert room_for_turns(model, message, system, max_tokens, "z" * 40) == room - 10
