"""What every event log promises of a stream that is pruned: its readers leave, and nobody writes to it again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from streaming import retention
from streaming.endings import INTERRUPTED
from streaming.errors import LogGone
from streaming.eventlog.base import Outcome
from tests.conformance.conftest import Bench, chunk, done

Run = Any


def test_who_reads_it_is_told_within_2_seconds_also_of_what_is_in_memory(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        other = await bench.other()
        with bench.log.follow(stream.key), other.log.follow(stream.key):
            await bench.append(stream, chunk(0), chunk(1), done(2))
            for each in (bench, other):
                page = await each.log.read(stream.key, -1)
                assert page is not None and page.closes
            await bench.store.read(retention.wipe, [stream.key])
            began = time.monotonic()
            for each in (bench, other):
                with pytest.raises(LogGone):
                    while time.monotonic() - began < 2:
                        await each.log.read(stream.key, -1)
                        await asyncio.sleep(0.02)
        await other.stop()

    run(scenario)


def test_who_waits_at_a_place_that_is_gone_is_told(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0), chunk(1), done(2))
        await bench.store.read(retention.wipe, [stream.key])
        with bench.log.follow(stream.key) as follower, pytest.raises(LogGone):
            async with asyncio.timeout(2):
                while True:
                    assert await bench.log.read(stream.key, 0) is None
                    await follower.wait(0, 1)

    run(scenario)


def test_a_producer_that_comes_back_finds_it_closed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0), done(1))
        await bench.store.read(retention.wipe, [stream.key])
        assert await bench.append(stream, chunk(0)) is Outcome.CLOSED
        assert await bench.append(stream, done(1)) is Outcome.CLOSED
        assert await bench.append(stream, chunk(2)) is Outcome.CLOSED
        assert await bench.close(stream, INTERRUPTED, attempt=1) is None
        assert await bench.frames(stream) == b""

    run(scenario)


def test_an_open_stream_is_left_alone(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0))
        assert await bench.store.read(retention.wipe, [stream.key]) == retention.Batch(0, 0)
        assert await bench.append(stream, done(1)) is Outcome.APPLIED

    run(scenario)
