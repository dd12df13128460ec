"""What every event log promises of reading and following."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streaming.errors import LogGone
from streaming.eventlog.base import PAGE_BYTES
from streaming.events import Event, EventType
from streaming.sse import frame
from tests.conformance.conftest import Bench, chunk, done

Run = Any


def test_reading_continues_after_every_event(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        events = [*(chunk(n, f"token {n}") for n in range(60)), done(60)]
        await bench.append(stream, *events)
        for after in range(-1, 60):
            assert await bench.frames(stream, after) == b"".join(map(frame, events[after + 1 :]))
        assert await bench.log.read(stream.key, 60) is None

    run(scenario)


def test_pages_are_bounded_and_only_the_last_closes(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        big = Event(3000, EventType.MESSAGE_CHUNK, '{"content":"' + "x" * 3 * PAGE_BYTES + '","tokens":1}')
        events = [*(chunk(n, "word " * (n % 40)) for n in range(3000)), big, done(3001)]
        await bench.append(stream, *events)
        for followed in (False, True):
            after, taken, closes = -1, b"", []
            with bench.log.follow(stream.key) if followed else bench.log.follow(-1):
                while page := await bench.log.read(stream.key, after):
                    assert len(page.frames) <= PAGE_BYTES or page.frames == frame(big)
                    taken, after = taken + page.frames, page.last_event_id
                    closes.append(page.closes)
            assert taken == b"".join(map(frame, events))
            assert closes == [False] * (len(closes) - 1) + [True]

    run(scenario)


def test_a_follower_is_woken_by_an_append_in_its_own_process(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        with bench.log.follow(stream.key) as follower:
            assert not await follower.wait(-1, 0.01)
            waiting = [asyncio.create_task(follower.wait(-1, 60)) for _ in range(100)]
            await asyncio.sleep(0)
            await bench.append(stream, chunk(0))
            assert all(await asyncio.gather(*waiting))
            page = await bench.log.read(stream.key, -1)
            assert page is not None and page.frames == frame(chunk(0))
            assert await follower.wait(-1, 0), "there is something after -1"
            assert not await follower.wait(0, 0.01)

    run(scenario)


def test_what_a_head_tells_is_not_waited_for(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        stream = await bench.stream()
        await bench.append(stream, *(chunk(n) for n in range(2000)), done(2000))
        # Nothing polls here: without the head, a reader would wait for that after every page.
        with other.log.follow(stream.key, end=2001, closed=True) as follower:
            after, pages = -1, 0
            while await follower.wait(after, 0):
                page = await other.log.read(stream.key, after)
                assert page is not None
                after, pages = page.last_event_id, pages + 1
                if page.closes:
                    break
        assert pages > 1
        assert after == 2000

    run(scenario)


def test_a_follower_in_another_process_is_woken_and_reads_every_event(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        stream = await bench.stream()

        async def follow() -> bytes:
            taken, after = b"", -1
            with other.log.follow(stream.key) as follower:
                while True:
                    await follower.wait(after, 60)
                    if page := await other.log.read(stream.key, after):
                        taken, after = taken + page.frames, page.last_event_id
                        if page.closes:
                            return taken

        readers = [asyncio.create_task(follow()) for _ in range(5)]
        events = [*(chunk(n, f"t{n}") for n in range(200)), done(200)]
        for start in range(0, 201, 7):
            await bench.append(stream, *events[start : start + 7])
            await asyncio.sleep(0.002)
        expected = b"".join(map(frame, events))
        assert await asyncio.gather(*readers) == [expected] * 5
        await other.stop()

    run(scenario)


def test_wake_ends_a_wait(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        with bench.log.follow(stream.key) as follower:
            waiting = asyncio.create_task(follower.wait(-1, 60))
            await asyncio.sleep(0)
            follower.wake()
            assert await waiting is False

    run(scenario)


def test_a_follower_is_told_when_the_end_of_the_log_falls_back(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0), chunk(1), chunk(2))
        other = await bench.other()
        with other.log.follow(stream.key) as follower:
            page = await other.log.read(stream.key, -1)
            assert page is not None and page.last_event_id == 2
            waiting = asyncio.create_task(follower.wait(2, 60))

            await other.lose(stream, 1, 2, end=1)
            with pytest.raises(LogGone) as gone:
                await asyncio.wait_for(waiting, 2)
            assert gone.value.end == 1
            with pytest.raises(LogGone) as gone:
                await other.log.read(stream.key, 2)
            assert gone.value.end == 1, "also as long as others wait there"
        await other.stop()

    run(scenario)


def test_a_hole_in_the_log_is_told_and_not_skipped(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, *(chunk(n) for n in range(5)))
        await bench.lose(stream, 2)
        with pytest.raises(LogGone):
            await bench.frames(stream)

    run(scenario)


@pytest.mark.parametrize("sealed", [False, True])
def test_a_reader_of_another_process_does_not_wait_between_pages(run: Run, sealed: bool) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        events = [*(chunk(n, f"token {n}") for n in range(2000)), done(2000)]
        await bench.append(stream, *events)
        if sealed:
            await bench.seal(stream)
        other = await bench.other()
        for _ in range(2):
            taken, after = b"", -1
            # Without run(): nobody looks at the heads, so that a wait would be for nothing.
            with other.log.follow(stream.key) as follower:
                while page := await other.log.read(stream.key, after):
                    taken, after = taken + page.frames, page.last_event_id
                    assert page.closes or await follower.wait(after, 0)
            assert taken == b"".join(map(frame, events))
        await other.stop()

    run(scenario)
