"""What every event log promises of appending: ordered, fenced, idempotent, closed once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streaming import ledger
from streaming.endings import FAILED
from streaming.eventlog.base import Append, Outcome
from streaming.events import Event, EventType
from streaming.models import CostRecord
from streaming.pricing import Usage
from streaming.sse import frame
from tests.conformance.conftest import Bench, chunk, done

Run = Any


def test_what_is_appended_is_read_back_byte_for_byte(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        odd = ['{"b":1,"a":2,"content":"\\u0000\\ud800 \\u2028 \\u0085","tokens":1}', '{"content":"","tokens":0}', "{}"]
        events = [Event(n, EventType.MESSAGE_CHUNK, data, n) for n, data in enumerate(odd)]
        assert await bench.append(stream, *events[:1]) is Outcome.APPLIED
        assert await bench.append(stream, *events[1:]) is Outcome.APPLIED
        assert await bench.frames(stream) == b"".join(map(frame, events))

    run(scenario)


def test_the_same_append_again_is_a_success_and_adds_nothing(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        for _ in range(3):
            assert await bench.append(stream, chunk(0), chunk(1)) is Outcome.APPLIED
        assert await bench.append(stream, chunk(2)) is Outcome.APPLIED
        assert await bench.append(stream, chunk(0), chunk(1)) is Outcome.APPLIED
        assert await bench.frames(stream) == b"".join(map(frame, [chunk(0), chunk(1), chunk(2)]))

    run(scenario)


@pytest.mark.parametrize("first", [0, 1, 3, 100])
def test_an_append_that_is_not_at_the_end_is_fenced(run: Run, first: int) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0), chunk(1))
        assert await bench.append(stream, chunk(first, "other")) is Outcome.FENCED
        assert await bench.append(stream, chunk(2)) is Outcome.APPLIED

    run(scenario)


def test_another_attempt_is_fenced(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        assert await bench.append(stream, chunk(0), attempt=2) is Outcome.FENCED
        assert await bench.frames(stream) == b""

    run(scenario)


def test_nothing_follows_a_terminal_event(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        assert await bench.append(stream, chunk(0), done(1)) is Outcome.APPLIED
        assert await bench.append(stream, chunk(2)) is Outcome.CLOSED
        assert await bench.append(stream, done(2)) is Outcome.CLOSED
        assert await bench.append(stream, chunk(0), done(1)) is Outcome.APPLIED, "the same append again"
        assert await bench.frames(stream) == frame(chunk(0)) + frame(done(1))

    run(scenario)


def test_a_stream_that_is_fenced_does_not_fail_the_others_of_its_batch(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        streams = [await bench.stream() for _ in range(20)]
        appends = [bench.append(stream, chunk(n % 2)) for n, stream in enumerate(streams)]
        outcomes = await asyncio.gather(*appends)
        assert outcomes == [Outcome.APPLIED if n % 2 == 0 else Outcome.FENCED for n in range(20)]

    run(scenario)


def test_a_terminal_event_settles_once_in_the_same_transaction(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        stream, settled = await bench.stream(), []
        for _ in range(3):
            await bench.append(stream, done(0), record=lambda: settled.append(1))
        assert settled == [1]

    run(scenario)


def test_what_is_recorded_with_events_is_committed_when_they_are_shown(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        stream = await bench.stream()
        early = Usage(prompt_tokens=77, cached_tokens=70)
        await bench.append(stream, chunk(0), record=lambda: ledger.note_usage(stream.key, early))
        record = await other.store.read(CostRecord.objects.get, pk=stream.key)
        assert (record.state, record.prompt_tokens, record.cached_tokens) == ("pending", 77, 70)
        await other.stop()

    run(scenario)


def test_an_append_whose_settlement_fails_leaves_nothing_and_harms_no_other(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bad, good = await bench.stream(), await bench.stream()

        def fail() -> None:
            raise ZeroDivisionError

        failing, fine = bench.append(bad, done(0), record=fail), bench.append(good, chunk(0))
        results = await asyncio.gather(failing, fine, return_exceptions=True)
        assert isinstance(results[0], ZeroDivisionError)
        assert results[1] is Outcome.APPLIED
        assert await bench.frames(bad) == b""
        assert (await bench.close(bad, FAILED, attempt=1)) is not None

    run(scenario)


def test_two_producers_that_race_write_one_text(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        stream = await bench.stream()

        async def produce(log: Bench, letter: str) -> int:
            for event_id in range(100):
                if await log.append(stream, chunk(event_id, letter)) is not Outcome.APPLIED:
                    return event_id
            return 100

        reached = await asyncio.gather(produce(bench, "a"), produce(other, "b"))
        frames = await bench.frames(stream)
        assert sorted(reached)[1] == 100 and sorted(reached)[0] == 0
        assert len({b'"content":"a"' in frames, b'"content":"b"' in frames}) == 2, "the texts are not mixed"
        await other.stop()

    run(scenario)


def test_a_stream_that_does_not_exist_is_fenced(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        assert await bench.log.append(Append(10**6, 1, [chunk(0)])) is Outcome.FENCED

    run(scenario)
