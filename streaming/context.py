"""The turns that a message follows: the path from the root of a conversation to its parent."""

from __future__ import annotations

from streaming.models import Stream, StreamEvent
from streaming.providers.base import Turn
from streaming.snapshots import text_of

MAX_TURNS = 200


def turns_to(parent: int | None) -> list[Turn]:
    """The finished turns up to and including the stream ``parent``, oldest first.

    What an interrupted or cancelled answer got to say counts as the answer; a turn without one is left
    out. The oldest are dropped beyond ``MAX_TURNS``.
    """
    turns: list[Turn] = []
    while parent is not None and len(turns) < MAX_TURNS:
        stream = Stream.objects.only("message", "parent_id", "finished_at").get(pk=parent)
        answer = text_of(StreamEvent.objects.filter(stream=stream))
        if stream.finished_at is not None and answer:
            turns += [Turn("assistant", answer), Turn("user", stream.message)]
        parent = stream.parent_id
    return turns[::-1]
