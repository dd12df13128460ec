"""A bug for each promise, planted into the service: each strikes the streams of its name and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from streaming import claims, ledger
from streaming.endings import CANCELLED, Ending
from streaming.engine import Engine
from streaming.errors import NotAllowed
from streaming.eventlog import database, kept
from streaming.eventlog.base import Append, Outcome
from streaming.eventlog.database import DatabaseEventLog
from streaming.eventlog.redis import RedisEventLog
from streaming.eventlog.redis_following import Following
from streaming.eventlog.tails import Tail
from streaming.events import Event, EventType
from streaming.models import Stream
from streaming.producer import Producer
from streaming.reader import Reader
from tests.faults.names import (
    DESERTED,
    FORGETS,
    FORGOTTEN,
    RESUMED,
    SHOWN,
    SKIPS,
    TWICE,
    UNENDED,
    UNFENCED,
    UNSETTLED,
)

Log = DatabaseEventLog | RedisEventLog

producers: dict[int, Producer] = {}
"""Of this process, by the key of their stream."""

resumed = asyncio.Event()
"""Whether UNSETTLED has been resumed here: whoever looks at the database does so before."""


def plant() -> None:
    """Change the service; called once, when the process starts."""
    wrap(Producer, "__init__", _remember)
    wrap(DatabaseEventLog, "append", _deliver_before_commit)
    wrap(RedisEventLog, "append", _deliver_before_commit)
    wrap(database, "_compare", _do_not_look_at_the_head)
    wrap(Following, "_compare", _do_not_look_at_redis)
    wrap(Engine, "read", _skip_one_at_a_resume)
    wrap(Producer, "_generate", _ask_twice)
    wrap(database, "without_producer", _leave_orphans)
    wrap(kept, "without_producer", _leave_orphans)
    wrap(database, "_judge", _fence_nobody)
    wrap(Producer, "run", _go_on_after_the_end)
    wrap(Reader, "close", _cancel_when_a_reader_leaves)
    wrap(Producer, "_settle", _do_not_settle_yet)
    wrap(claims, "find", _tell_strangers)
    wrap(Engine, "open", _start_at_a_resume)


def wrap(owner: object, name: str, around: Callable[..., Any]) -> None:
    """Put ``around(original, …)`` in place of what ``owner`` has by this name."""
    original = getattr(owner, name)
    patch.object(owner, name, lambda *args, **named: around(original, *args, **named)).start()


def _is(stream: int, name: str) -> bool:
    return stream in producers and producers[stream].assignment.stream_id == name


def _remember(original: Any, producer: Producer, assignment: Any, *rest: Any) -> None:
    original(producer, assignment, *rest)
    producers[assignment.stream] = producer


async def _deliver_before_commit(original: Any, log: Log, append: Append) -> Outcome:
    forgets = _is(append.stream, FORGETS) and append.events[-1].event_id >= FORGOTTEN
    if forgets and (tail := log._tails.get(append.stream)) is not None:
        # More than one: in the place of the first there will be the terminal event.
        while True:
            tail.extend(producers[append.stream].state.get_chunks_after(append.events[0].event_id - 1))
            await asyncio.sleep(0.01)
    outcome: Outcome = await original(log, append)
    return outcome


def _do_not_look_at_the_head(original: Any, tail: Tail, *known: Any) -> None:
    """Which would end the readers that are ahead of it."""
    if not _is(tail.stream, FORGETS):
        original(tail, *known)


async def _do_not_look_at_redis(original: Any, following: Following, tail: Tail, *known: Any) -> None:
    if not _is(tail.stream, FORGETS):
        await original(following, tail, *known)


def _skip_one_at_a_resume(original: Any, engine: Engine, owner: Any, found: Any, after: int, *rest: Any) -> Any:
    if found.stream_id == UNSETTLED and after >= 0:
        resumed.set()
    return original(engine, owner, found, after + (found.stream_id == SKIPS and after >= 0), *rest)


async def _ask_twice(original: Any, producer: Producer) -> Ending:
    if producer.assignment.stream_id == TWICE:
        async with aclosing(producer.assignment.provider.stream(producer.assignment.prompt)) as batches:
            async for _ in batches:
                pass
    ending: Ending = await original(producer)
    return ending


def _leave_orphans(original: Any, streams: set[int]) -> set[int]:
    left = Stream.objects.filter(stream_id=UNENDED).values_list("pk", flat=True)
    orphans: set[int] = original(streams) - set(left)
    return orphans


def _fence_nobody(original: Any, append: Append, head: Any) -> Outcome | None:
    outcome: Outcome | None = original(append, head)
    return None if _is(append.stream, UNFENCED) else outcome


async def _go_on_after_the_end(original: Any, producer: Producer) -> bool:
    closed: bool = await original(producer)
    stream, attempt = producer.assignment.stream, producer.assignment.attempt
    if _is(stream, UNFENCED):
        more = Event(producer.state.event_id + 1, EventType.HEARTBEAT, "{}")
        await producer._log.append(Append(stream, attempt, [more]))
    if _is(stream, UNSETTLED):
        await resumed.wait()
        assert isinstance(producer._log, Log)
        await producer._log._store.write(_settle_all, producer)
    return closed


def _cancel_when_a_reader_leaves(original: Any, reader: Reader) -> None:
    original(reader)
    if _is(reader.stream, DESERTED):
        reader._loop.call_soon_threadsafe(producers[reader.stream].stop, CANCELLED)


def _do_not_settle_yet(original: Any, producer: Producer) -> None:
    if producer.assignment.stream_id != UNSETTLED:
        original(producer)


def _settle_all(late: list[Producer]) -> list[None]:
    for producer in late:
        assert producer.settlement is not None
        ledger.settle(producer.assignment.stream, producer.settlement)
    return [None] * len(late)


def _tell_strangers(original: Any, owner: claims.Owner, stream_id: str, *nonce: Any) -> Any:
    found = original(owner, stream_id, *nonce)
    if found is None and stream_id == SHOWN and Stream.objects.filter(stream_id=SHOWN).exists():
        raise NotAllowed("That is somebody else's.")
    return found


async def _start_at_a_resume(original: Any, engine: Engine, owner: Any, ask: Any, *rest: Any, **named: Any) -> Any:
    if ask.stream_id == RESUMED:
        ask = replace(ask, resumes=False, after=-1)
    return await original(engine, owner, ask, *rest, **named)
