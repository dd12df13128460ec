"""What every event log promises of a log that is sealed: nobody notices, but for the room it takes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streaming import retention, sealing
from streaming.endings import INTERRUPTED
from streaming.errors import LogGone
from streaming.eventlog.base import PAGE_BYTES, Outcome
from streaming.eventlog.record import RECORD_EVENTS
from streaming.events import Event, EventType
from streaming.models import Stream, StreamEvent, StreamRecord
from streaming.sse import frame
from tests.conformance.conftest import Bench, chunk, done

Run = Any

ODD = (
    chunk(0, "Hello"),
    Event(1, EventType.HEARTBEAT, "{}", 10_000),
    Event(2, EventType.MESSAGE_CHUNK, '{"b":1,"a":2,"content":"\\u0000\\ud800 \\u2028 \\u0085","tokens":1}', 10_001),
    Event(3, EventType.MESSAGE_CHUNK, '{"content":"\\u00e9\\ud83d\\ude00","tokens":2,"cost_usd":null}', 10_001),
    Event(4, EventType.MESSAGE_CHUNK, '{"content":"","tokens":0}', 9_000),
    Event(5, EventType.MESSAGE_CHUNK, '{"content":"' + "x" * 3 * PAGE_BYTES + '","tokens":1}', 20_000),
    done(6),
)


def test_a_sealed_log_is_read_as_before_from_every_place(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, *ODD)
        assert await bench.seal(stream)
        assert not await bench.store.read(StreamEvent.objects.filter(stream=stream.key).exists)
        for _ in range(2):
            for after in range(-1, 6):
                assert await bench.frames(stream, after) == b"".join(map(frame, ODD[after + 1 :]))
            assert await bench.log.read(stream.key, 6) is None

    run(scenario)


def test_a_long_log_is_several_records_and_pages(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        end = RECORD_EVENTS + 900
        events = [*(chunk(n, "word " * (n % 7)) for n in range(end)), done(end)]
        await bench.append(stream, *events)
        assert await bench.seal(stream)
        other = await bench.other()
        places = (-1, 0, 17, RECORD_EVENTS - 2, RECORD_EVENTS - 1, RECORD_EVENTS, end - 1)
        for followed in (stream.key, 0):
            with other.log.follow(followed):
                for after in places:
                    assert await other.frames(stream, after) == b"".join(map(frame, events[after + 1 :]))
        page = await other.log.read(stream.key, -1)
        assert page is not None and len(page.frames) <= PAGE_BYTES and not page.closes
        await other.stop()

    run(scenario)


def test_who_reads_while_a_log_is_sealed_misses_nothing(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        streams = [await bench.stream() for _ in range(10)]
        events = [*(chunk(n, f"token {n}") for n in range(1200)), done(1200)]
        for stream in streams:
            await bench.append(stream, *events)
        expected = b"".join(map(frame, events))
        over = False

        async def read_again_and_again(followed: bool) -> int:
            times = 0
            while not over:
                for stream in streams:
                    with other.log.follow(stream.key if followed else 0):
                        assert await other.frames(stream) == expected
                times += 1
            return times

        readers = [asyncio.create_task(read_again_and_again(followed)) for followed in (False, True)]
        for stream in streams:
            assert await bench.seal(stream)
        over = True
        assert all(await asyncio.gather(*readers))
        await other.stop()

    run(scenario)


def test_nothing_is_appended_to_it_and_its_end_is_known(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0), chunk(1), done(2))
        await bench.seal(stream)
        assert await bench.append(stream, chunk(0), chunk(1)) is Outcome.APPLIED, "the same append again"
        assert await bench.append(stream, chunk(1), done(2)) is Outcome.APPLIED, "the same append again"
        assert await bench.append(stream, chunk(1, "other"), done(2)) is Outcome.CLOSED
        assert await bench.append(stream, chunk(0), attempt=2) is Outcome.CLOSED
        assert await bench.append(stream, chunk(3)) is Outcome.CLOSED
        assert await bench.close(stream, INTERRUPTED, attempt=1) == done(2)
        assert await bench.frames(stream) == b"".join(map(frame, [chunk(0), chunk(1), done(2)]))

    run(scenario)


def test_pruning_takes_the_records(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, *ODD)
        await bench.seal(stream)
        with bench.log.follow(stream.key):
            assert await bench.frames(stream)
        assert await bench.store.read(retention.wipe, [stream.key]) == retention.Batch(1, len(ODD))
        assert not await bench.store.read(StreamRecord.objects.filter(stream=stream.key).exists)
        assert await bench.frames(stream) == b""
        with bench.log.follow(stream.key) as follower, pytest.raises(LogGone):
            async with asyncio.timeout(2):
                while True:
                    assert await bench.log.read(stream.key, 0) is None
                    await follower.wait(0, 1)

    run(scenario)


def test_what_was_packed_before_it_was_pruned_does_not_come_back(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0), done(1))
        packed = await bench.store.read(sealing.pack_log, stream.key)
        await bench.store.read(retention.wipe, [stream.key])
        assert not await bench.store.write(sealing.seal_all, packed)
        assert not await bench.store.read(StreamRecord.objects.exists)

    run(scenario)


def test_of_many_that_seal_a_log_one_does(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        others = [await bench.other() for _ in range(3)]
        stream = await bench.stream()
        await bench.append(stream, chunk(0), done(1))
        packed = await bench.store.read(sealing.pack_log, stream.key)
        sealed = await asyncio.gather(*(other.store.write(sealing.seal_all, packed) for other in (bench, *others)))
        assert sorted(sealed) == [False, False, False, True]
        assert await bench.frames(stream) == frame(chunk(0)) + frame(done(1))
        for other in others:
            await other.stop()

    run(scenario)


def test_a_log_that_is_open_or_has_a_hole_stays_as_it_is(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        live, damaged = await bench.stream(), await bench.stream()
        await bench.append(live, chunk(0))
        await bench.append(damaged, chunk(0), chunk(1), done(2))
        packed = await bench.store.read(sealing.pack_log, damaged.key)
        await bench.store.read(StreamEvent.objects.filter(stream=damaged.key, event_id=1).delete)
        for stream in (live, damaged):
            with pytest.raises(sealing.Unsealable):
                await bench.seal(stream)
        with pytest.raises(sealing.Unsealable):
            await bench.store.write(sealing.seal_all, packed)
        assert not await bench.store.read(StreamRecord.objects.exists)
        assert await bench.store.read(StreamEvent.objects.filter(stream=damaged.key).count) == 2
        assert not await bench.store.read(Stream.objects.filter(sealed_at__isnull=False).exists)

    run(scenario)
