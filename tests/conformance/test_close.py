"""What every event log promises of closing on a producer's behalf."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from streaming import lease
from streaming.endings import FAILED, INTERRUPTED
from streaming.eventlog.base import Outcome
from streaming.models import CostRecord, Stream
from streaming.sse import frame
from tests.conformance.conftest import Bench, chunk, done

Run = Any


async def _die(bench: Bench) -> None:
    await bench.store.write(lease.release, bench.process.pk)


def test_the_stream_of_a_dead_process_is_closed_with_what_its_log_holds(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0, tokens=2), chunk(1, tokens=5))
        assert await bench.close(stream, INTERRUPTED) is None, "its process lives"
        await _die(bench)
        terminal = await bench.close(stream, INTERRUPTED)
        assert terminal is not None and terminal.event_id == 2
        data = json.loads(terminal.data)
        assert (data["error_type"], data["retryable"]) == ("interrupted", True)
        assert (data["prompt_tokens"], data["completion_tokens"], data["total_tokens"]) == (3, 7, 10)
        assert await bench.frames(stream) == b"".join(map(frame, [chunk(0, tokens=2), chunk(1, tokens=5), terminal]))
        record = await bench.store.read(CostRecord.objects.get, pk=stream.key)
        assert (record.state, record.total_pico_usd) == ("estimated", 3 * 150_000 + 7 * 600_000)
        assert data["total_cost"] == (3 * 150_000 + 7 * 600_000) / 10**12
        row = await bench.store.read(Stream.objects.get, pk=stream.key)
        assert (row.status, row.error_type) == ("error", "interrupted")

    run(scenario)


def test_the_producer_itself_may_close_at_whatever_the_end_is(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0))
        assert await bench.close(stream, FAILED, attempt=2) is None
        terminal = await bench.close(stream, FAILED, attempt=1)
        assert terminal is not None and terminal.event_id == 1

    run(scenario)


def test_a_zombie_writes_nothing_after_its_stream_was_closed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0))
        await _die(bench)
        terminal = await bench.close(stream, INTERRUPTED)
        assert terminal is not None
        assert await bench.append(stream, chunk(1)) is Outcome.CLOSED
        assert await bench.append(stream, chunk(2)) is Outcome.CLOSED
        assert await bench.append(stream, done(2)) is Outcome.CLOSED
        assert await bench.frames(stream) == frame(chunk(0)) + frame(terminal)

    run(scenario)


def test_closing_again_returns_the_terminal_event_that_is_there(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream, finished = await bench.stream(), await bench.stream()
        await bench.append(finished, chunk(0), done(1))
        await _die(bench)
        first = await bench.close(stream, INTERRUPTED)
        assert first is not None
        assert await bench.close(stream, FAILED) == first
        assert await bench.close(finished, INTERRUPTED) == done(1)

    run(scenario)


def test_of_many_closers_one_has_done_it(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        stream = await bench.stream()
        await bench.append(stream, chunk(0))
        await _die(bench)
        closers = (bench, bench, other, other)
        found = await asyncio.gather(*(closer.log.close(stream.key, INTERRUPTED) for closer in closers))
        found.append(await bench.log.close(stream.key, INTERRUPTED))
        assert [closed.is_new for closed in found if closed is not None].count(True) == 1, "so it is counted once"
        await other.stop()

    run(scenario)


def test_of_many_closers_and_a_producer_exactly_one_ends_the_stream(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        others = [await bench.other() for _ in range(3)]
        stream = await bench.stream()
        await bench.append(stream, chunk(0))
        await _die(bench)
        closings = [other.close(stream, INTERRUPTED) for other in others]
        outcome, found = await asyncio.gather(bench.append(stream, done(1)), asyncio.gather(*closings))
        terminals = [terminal for terminal in found if terminal is not None]
        terminals += [late for other in others if (late := await other.close(stream, INTERRUPTED))]
        frames = await bench.frames(stream)
        assert len(terminals) >= 3 and len({terminal.data for terminal in terminals}) == 1
        assert frames == frame(chunk(0)) + frame(terminals[0])
        assert (outcome is Outcome.APPLIED) == (terminals[0] == done(1))
        for other in others:
            await other.stop()

    run(scenario)
