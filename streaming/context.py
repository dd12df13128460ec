"""The turns that a message follows: the path from the root of a conversation to its parent.

A turn is a message with its answer; a continuation and the stream that it continues are one turn, whose answer is that
of both. Where the model has no room for all of them the oldest are left out,
whole, as many as it takes: what is sent depends on the path and on the room alone.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from django.db import connection

from streaming.conf import settings
from streaming.errors import StreamPruned
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
    WITH RECURSIVE path(id, before_id, is_part, message, finished, turn, step) AS (
        SELECT id, COALESCE(continues_id, parent_id), continues_id IS NOT NULL, message, finished_at IS NOT NULL, 1, 1
        FROM {STREAMS} WHERE id = %s
        UNION ALL
        SELECT s.id, COALESCE(s.continues_id, s.parent_id), s.continues_id IS NOT NULL, s.message,
               s.finished_at IS NOT NULL, path.turn + CASE WHEN path.is_part THEN 0 ELSE 1 END, path.step + 1
        FROM {STREAMS} s JOIN path ON s.id = path.before_id WHERE path.is_part OR path.turn < %s
    )
    SELECT turn, id, message, finished FROM path ORDER BY step
"""
CHAIN = f"""
    WITH RECURSIVE chain(id, continues_id, pruned, step) AS (
        SELECT id, continues_id, pruned_at IS NOT NULL, 1 FROM {STREAMS} WHERE id = %s
        UNION ALL
        SELECT s.id, s.continues_id, s.pruned_at IS NOT NULL, chain.step + 1
        FROM {STREAMS} s JOIN chain ON s.id = chain.continues_id
    )
    SELECT id, pruned FROM chain ORDER BY step DESC
"""


def text_so_far(continued: int | None) -> str:
    """What the stream ``continued`` has said, and before it those that it continues. Raises StreamPruned.

    Empty where nothing is continued.
    """
    if continued is None:
        return ""
    keys = chain_to(continued)
    answers = texts_of(keys)
    return "".join(answers.get(key, "") for key in keys)


def chain_to(stream: int) -> list[int]:
    """The keys of a stream and of those that it continues, the first one first. Raises StreamPruned of any of them."""
    with connection.cursor() as cursor:
        cursor.execute(CHAIN, [stream])
        chain = cursor.fetchall()
    if any(pruned for _, pruned in chain):
        raise StreamPruned
    return [key for key, _ in chain]


def room_for_turns(model: Model, message: str, system: str | None, max_tokens: int | None, so_far: str = "") -> int:
    """Tokens, by our count, that a model has for earlier turns: its window without the request and the answer.

    The answer is given what the request allows it, else ``ANSWER_TOKENS``; at most half of the window.
    """
    window = model.context_window or settings.STREAM_CONTEXT_TOKENS
    reserve = min(max_tokens or ANSWER_TOKENS, window // 2)
    return window - reserve - count_tokens(message) - count_tokens(system or "") - count_tokens(so_far)


def turns_to(parent: int | None, room: int) -> list[Turn]:
    """The finished turns up to and including the stream ``parent``, oldest first, in at most ``room`` tokens.

    What an interrupted or cancelled answer got to say counts as the answer; a turn without one is left out.
    """
    path = _path(parent)
    turns: list[Turn] = []
    for start in range(0, len(path), TURNS_AT_ONCE):
        part = path[start : start + TURNS_AT_ONCE]
        answers = texts_of([key for keys, _ in part for key in keys])
        for keys, message in part:
            if not (answer := "".join(answers.get(key, "") for key in keys)):
                continue
            room -= count_tokens(message) + count_tokens(answer)
            if room < 0:
                return turns[::-1]
            turns += [Turn("assistant", answer), Turn("user", message)]
    return turns[::-1]


def _path(parent: int | None) -> list[tuple[list[int], str]]:
    """The finished turns on the path, newest first: the keys of their streams, in order, and their message."""
    if parent is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(PATH, [parent, MAX_TURNS])
        turns = [list(turn) for _, turn in groupby(cursor.fetchall(), itemgetter(0))]
    finished = [turn for turn in turns if all(is_finished for *_, is_finished in turn)]
    return [([key for _, key, *_ in reversed(turn)], turn[0][2]) for turn in finished]
