"""The producer: reads a provider, appends to the log, and ends the stream with exactly one terminal event."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise

from streaming import ledger, metrics
from streaming.conf import settings
from streaming.endings import FAILED, INTERRUPTED, TIMED_OUT, Ending, Settlement
from streaming.errors import ErrorType, ProviderError
from streaming.eventlog.base import Append, EventLog, Outcome
from streaming.events import FINISH_REASONS, Event, FinishReason
from streaming.pricing import Prices, Usage
from streaming.providers.base import Delta, EarlyUsage, Piece, Prompt, Provider
from streaming.state import SSEStreamState

logger = logging.getLogger("streaming.producer")

MAX_CHUNK_CHARS = 4096
"""A longer delta becomes several events, so that no frame is longer than a page."""

MAX_PENDING_BYTES = 256 * 1024
"""Data waiting for the log at which the provider is no longer read."""

UNFINISHED = Ending(
    error_type=ErrorType.PROVIDER_ERROR,
    error="The model's answer broke off before its end. You can ask again.",
    retryable=True,
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A stream that a producer has taken on. ``stream`` is its key; ``attempt`` the claim on its log."""

    stream: int
    stream_id: str
    attempt: int
    provider: Provider
    prompt: Prompt
    prices: Prices | None
    prompt_tokens: int
    waited: float = 0.0
    """Seconds from the stream's creation to here; its times are told from there."""


class Producer:
    """Runs one assignment. ``clock`` is monotonic, in seconds."""

    def __init__(self, assignment: Assignment, log: EventLog, clock: Callable[[], float] = time.monotonic) -> None:
        self.assignment = assignment
        self.state = SSEStreamState(assignment.stream_id, assignment.prices)
        self.settlement: Settlement | None = None
        self.outcome: Outcome | None = None
        """Of the last append; APPLIED at the end where this producer closed the stream itself."""
        self._log = log
        self._clock = clock
        self._last_event = clock()
        self._started = self._last_event - assignment.waited
        self._first_token_ms: int | None = None
        self._early = Usage(prompt_tokens=assignment.prompt_tokens)
        self._unnoted = False
        self._metered_ms = self._elapsed_ms()
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._queued = asyncio.Event()
        self._room = asyncio.Event()
        self._asked: Ending | None = None
        self._source: asyncio.Task[Ending] | None = None

    @property
    def counted(self) -> Usage:
        """The usage by our own counts, which stands in for the provider's where that is missing."""
        return self._early.answered_with(self.state.completion_tokens)

    async def run(self) -> bool:
        """Produce the stream to its end; answers whether this producer's terminal event is in the log."""
        appender = asyncio.create_task(self._append_events())
        self._source = asyncio.create_task(self._generate())
        beat = asyncio.create_task(self._beat(settings.STREAM_HEARTBEAT_SECONDS))
        appender.add_done_callback(lambda _: self._source and self._source.cancel())
        try:
            await asyncio.wait((self._source,))
        finally:
            beat.cancel()
            self._source.cancel()
            try:
                self._conclude(self._ending(self._source))
            except BaseException:
                appender.cancel()
                raise
        return await asyncio.shield(appender)

    def stop(self, ending: Ending) -> None:
        """End the stream now, with ``ending``; the upstream call is closed."""
        self._asked = self._asked or ending
        if self._source is not None:
            self._source.cancel()

    async def _generate(self) -> Ending:
        limit = asyncio.timeout(settings.STREAM_MAX_SECONDS)
        try:
            async with limit, aclosing(self.assignment.provider.stream(self.assignment.prompt)) as batches:
                async for batch in batches:
                    for piece in batch:
                        self._take(piece)
                        if self.state.answer_bytes >= settings.STREAM_MAX_BYTES:
                            return Ending(finish_reason=FinishReason.LENGTH)
                    await self._wait_for_room()
        except ProviderError as error:
            logger.warning("provider failed", extra={**self._names(), "error": str(error)})
            return Ending(error_type=error.error_type, error=error.message, retryable=error.retryable)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # also SystemExit, which would end the process and all its streams
            if limit.expired():
                return TIMED_OUT
            logger.exception("producer failed", extra={**self._names(), "error": type(error).__name__})
            return FAILED
        return UNFINISHED if self._finish is None else Ending(finish_reason=self._finish)

    def _take(self, piece: Piece) -> None:
        if isinstance(piece, Delta):
            for content in _parts(piece.content):
                if self._first_token_ms is None:
                    self._first_token_ms = self._elapsed_ms()
                self.state.add_chunk(content, self._elapsed_ms())
                self._appended()
        elif isinstance(piece, EarlyUsage):
            self._early, self._unnoted = piece.bounded(), True
        elif isinstance(piece, Usage):
            self._usage = piece.bounded()
        else:
            self._finish = piece.reason if piece.reason in FINISH_REASONS else FinishReason.STOP

    def _ending(self, source: asyncio.Task[Ending]) -> Ending:
        ending = INTERRUPTED
        if source.done() and not source.cancelled() and source.exception() is None:
            ending = source.result()
        # A provider that is stopped may fail by it.
        return self._asked or ending if ending in (FAILED, INTERRUPTED) else ending

    def _conclude(self, ending: Ending) -> None:
        """Add the terminal event. Without the provider's final usage the cost is that of our own counts."""
        complete = self._usage is not None and ending.finish_reason == self._finish
        usage = self._usage if complete else None
        self.settlement = Settlement(
            ending=ending,
            usage=usage or self.counted,
            reported=usage is not None,
            prices=self.assignment.prices,
            latency_ms=self._elapsed_ms(),
            first_token_ms=self._first_token_ms,
        )
        self.state.add(ending.event_type, self.settlement.data, self._elapsed_ms())
        self._appended()

    async def _append_events(self) -> bool:
        committed = -1
        while True:
            await self._queued.wait()
            self._queued.clear()
            while events := self.state.get_chunks_after(committed):
                closes = events[-1].type.is_terminal
                record = self._settle if closes else self._note_usage if self._unnoted else None
                self._unnoted = False
                append = Append(self.assignment.stream, self.assignment.attempt, events, record)
                began = self._clock()
                self.outcome = await self._log.append(append)
                self._meter(events, self._clock() - began)
                if self.outcome is not Outcome.APPLIED or closes:
                    return self.outcome is Outcome.APPLIED
                committed = events[-1].event_id
                self.state.forget(committed)
                self._room.set()

    def _meter(self, events: Sequence[Event], seconds: float) -> None:
        metrics.APPEND_LATENCY.observe(seconds)
        metrics.APPEND_BATCH.observe(len(events))
        times = [self._metered_ms, *(event.elapsed_ms for event in events)]
        metrics.BETWEEN_EVENTS.observe(max(later - before for before, later in pairwise(times)) / 1000)
        self._metered_ms = times[-1]

    def _note_usage(self) -> None:
        """With the next events, so that a crash does not lose what the provider told early."""
        ledger.note_usage(self.assignment.stream, self._early)

    def _settle(self) -> None:
        """In the transaction of the terminal event, on the writer's thread."""
        assert self.settlement is not None
        ledger.settle(self.assignment.stream, self.settlement)

    async def _wait_for_room(self) -> None:
        while self.state.pending_bytes > MAX_PENDING_BYTES:
            self._room.clear()
            await self._room.wait()

    async def _beat(self, interval: float) -> None:
        """A heartbeat whenever ``interval`` seconds passed without an event, and none while one is on its way."""
        while True:
            idle = self._clock() - self._last_event
            if idle >= interval and not self.state.pending_bytes:
                self.state.add_heartbeat(self._elapsed_ms())
                self._appended()
                idle = 0
            await asyncio.sleep(max(interval - idle, interval / 100))

    def _appended(self) -> None:
        self._last_event = self._clock()
        self._queued.set()

    def _elapsed_ms(self) -> int:
        return round((self._clock() - self._started) * 1000)

    def _names(self) -> dict[str, str]:
        return {"stream_id": self.assignment.stream_id, "model": self.assignment.prompt.model}


def _parts(content: str) -> Iterator[str]:
    return (content[start : start + MAX_CHUNK_CHARS] for start in range(0, len(content), MAX_CHUNK_CHARS))
