"""The turns that a message follows: the path from the root of a conversation to its parent.

A turn is a message with its answer. Where the model has no room for all of them the oldest are left out,
whole, as many as it takes: what is sent depends on the path and on the room alone.
"""

from __future__ import annotations

from django.db import connection

from streaming.conf import settings
from streaming.eventlog.stored import texts_of
from streaming.models import Stream
from streaming.pricing import count_tokens
from streaming.providers.base import Model, Turn

MAX_TURNS = 200
"""No more of the path is looked at, counted from its newest end."""

TURNS_AT_ONCE = 25
"""Answers that are read with one query; where the room is full the older ones are not read at all."""

ANSWER_TOKENS = 4096
"""Kept free for an answer whose length the request does not bound."""

STREAMS = Stream._meta.db_table
PATH = f"""
    WITH RECURSIVE path(id, parent_id, message, finished, depth) AS (
        SELECT id, parent_id, message, finished_at IS NOT NULL, 1 FROM {STREAMS} WHERE id = %s
        UNION ALL
        SELECT s.id, s.parent_id, s.message, s.finished_at IS NOT NULL, path.depth + 1
        FROM {STREAMS} s JOIN path ON s.id = path.parent_id WHERE path.depth < %s
    )
    SELECT id, message FROM path WHERE finished ORDER BY depth
"""


def room_for_turns(model: Model, message: str, system: str | None, max_tokens: int | None) -> int:
    """Tokens, by our count, that a model has for earlier turns: its window without the request and the answer.

    The answer is given what the request allows it, else ``ANSWER_TOKENS``; at most half of the window.
    """
    window = model.context_window or settings.STREAM_CONTEXT_TOKENS
    reserve = min(max_tokens or ANSWER_TOKENS, window // 2)
    return window - reserve - count_tokens(message) - count_tokens(system or "")


def turns_to(parent: int | None, room: int) -> list[Turn]:
    """The finished turns up to and including the stream ``parent``, oldest first, in at most ``room`` tokens.

    What an interrupted or cancelled answer got to say counts as the answer; a turn without one is left out.
    """
    path = _path(parent)
    turns: list[Turn] = []
    for start in range(0, len(path), TURNS_AT_ONCE):
        part = path[start : start + TURNS_AT_ONCE]
        answers = texts_of([key for key, _ in part])
        for key, message in part:
            if not (answer := answers.get(key)):
                continue
            room -= count_tokens(message) + count_tokens(answer)
            if room < 0:
                return turns[::-1]
            turns += [Turn("assistant", answer), Turn("user", message)]
    return turns[::-1]


def _path(parent: int | None) -> list[tuple[int, str]]:
    """Key and message of the finished streams on the path, newest first."""
    if parent is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(PATH, [parent, MAX_TURNS])
        return [(key, message) for key, message in cursor.fetchall()]
