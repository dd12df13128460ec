"""How many events of closing logs are in memory at a time."""

from __future__ import annotations

import asyncio

from streaming.eventlog.redis_room import Room


def test_who_needs_more_than_is_left_waits_first_come_first_served() -> None:
    async def scenario() -> None:
        room, got = Room(10), list[str]()
        leave = {name: asyncio.Event() for name in ("six", "huge", "one")}

        async def take(name: str, size: int) -> None:
            async with room.take(size):
                got.append(name)
                await leave[name].wait()

        async with asyncio.TaskGroup() as group:
            for name, size in (("six", 6), ("huge", 1000), ("one", 1)):
                group.create_task(take(name, size))
                await asyncio.sleep(0)
            assert got == ["six"]
            for name, then in (("six", ["six", "huge"]), ("huge", ["six", "huge", "one"])):
                leave[name].set()
                for _ in range(10):
                    await asyncio.sleep(0)
                assert got == then
            leave["one"].set()

    asyncio.run(scenario())


def test_many_small_ones_are_at_work_at_the_same_time() -> None:
    async def scenario() -> None:
        room, together = Room(100), asyncio.Barrier(100)

        async def take() -> None:
            async with room.take(1):
                await together.wait()

        async with asyncio.timeout(10):
            await asyncio.gather(*(take() for _ in range(100)))

    asyncio.run(scenario())
