"""Tails: readers who wait for the same page of a log share one look at the store."""

from __future__ import annotations

import asyncio

from streaming.errors import LogGone
from streaming.eventlog.base import Page
from streaming.eventlog.tails import Tail, Tails
from streaming.events import Event, EventType


class Store:
    """Answers when it is let to; counts the looks."""

    def __init__(self) -> None:
        self.looks: list[int] = []
        self.events: list[Event] = []
        self.open = asyncio.Event()

    async def load(self, stream: int, after: int, tail: Tail | None) -> Page | None:
        self.looks.append(after)
        found = [event for event in self.events if event.event_id > after]
        await self.open.wait()
        await asyncio.to_thread(lambda: None)
        if after > 5:
            raise LogGone(5)
        return None if tail is None else tail.take(after, found)


def test_many_who_come_to_the_end_of_a_quiet_log_look_twice_and_not_once_each() -> None:
    async def run() -> None:
        tails, store = Tails(), Store()
        with tails.use(1):
            reads = [asyncio.create_task(tails.read(1, -1, store.load)) for _ in range(500)]
            await asyncio.sleep(0)
            store.open.set()
            assert await asyncio.gather(*reads) == [None] * 500
            assert store.looks == [-1, -1], "the second has begun after all had asked"
            assert await tails.read(1, -1, store.load) is None
            assert len(store.looks) == 3

    asyncio.run(run())


def test_who_asks_while_another_looks_sees_what_was_committed_before_it_asked() -> None:
    async def run() -> None:
        tails, store = Tails(), Store()
        with tails.use(1):
            early = asyncio.create_task(tails.read(1, -1, store.load))
            await asyncio.sleep(0)
            store.events.append(Event(0, EventType.HEARTBEAT, "{}", 0))
            late = [asyncio.create_task(tails.read(1, -1, store.load)) for _ in range(3)]
            await asyncio.sleep(0)
            store.open.set()
            assert await early is None
            pages = await asyncio.gather(*late)
            assert [page and page.last_event_id for page in pages] == [0, 0, 0]
            assert store.looks == [-1, -1]

    asyncio.run(run())


def test_places_do_not_wait_for_each_other_nor_for_one_who_leaves_or_fails() -> None:
    async def run() -> None:
        tails, store = Tails(), Store()
        with tails.use(1):
            reads = [asyncio.create_task(tails.read(1, after, store.load)) for after in (3, 3, 4, 9, 9)]
            await asyncio.sleep(0)
            assert store.looks == [3, 4, 9]
            reads[0].cancel()
            store.open.set()
            left, *answers = await asyncio.gather(*reads, return_exceptions=True)
            assert isinstance(left, asyncio.CancelledError)
            assert answers[:2] == [None, None]
            assert all(isinstance(answer, LogGone) for answer in answers[2:])
            assert store.looks[3:] == [3, 9]

    asyncio.run(run())
