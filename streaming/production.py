"""Production: the live streams of a process, each with its producer, and their ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import KeysView
from contextlib import suppress

from streaming import cancels, ledger, metrics
from streaming.endings import CANCELLED, FAILED, Ending
from streaming.eventlog.base import Closed, EventLog, Handover
from streaming.journal import count_closed, log_start, log_terminal, names
from streaming.producer import Assignment, Producer
from streaming.store import Store, StoreClosed
from streaming.tasks import Tasks

logger = logging.getLogger("streaming.production")

CANCEL_SECONDS = 0.25
"""How often a process looks whether one of its streams was cancelled elsewhere, where nobody tells it (``notices``)."""

HEAR_AGAIN_SECONDS = 0.5
"""Until it is tried again to hear of cancels."""


class Production:
    """The streams that this process produces, by key."""

    def __init__(self, store: Store, log: EventLog, tasks: Tasks) -> None:
        self._store = store
        self._log = log
        self._tasks = tasks
        self._live: dict[int, Producer] = {}
        self._one_ended = asyncio.Event()

    @property
    def size(self) -> int:
        """How many streams are live."""
        return len(self._live)

    @property
    def log_failing(self) -> str | None:
        """See ``EventLog.failing``."""
        return self._log.failing

    def keys(self) -> KeysView[int]:
        """The keys of the live streams."""
        return self._live.keys()

    def take_on(self, assignment: Assignment, request_id: str) -> None:
        """Produce this stream from now on."""
        producer = Producer(assignment, self._log)
        self._live[assignment.stream] = producer
        log_start(assignment, request_id)
        self._tasks.spawn(self._run(producer, request_id))

    def stop(self, key: int, ending: Ending) -> None:
        """End a stream now, if it is live here."""
        if (producer := self._live.get(key)) is not None:
            producer.stop(ending)

    def stop_all(self, ending: Ending) -> None:
        """End every live stream now."""
        for producer in self._live.values():
            producer.stop(ending)

    async def wait_for_an_end(self, seconds: float) -> None:
        """Until a stream has ended here, or ``seconds`` are over."""
        self._one_ended.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._one_ended.wait()

    async def hear_cancels(self, handover: Handover) -> None:
        """Until cancelled: stop the streams that others tell to end; what is not heard, ``watch_cancels`` finds."""
        while True:
            try:
                for key in await handover.cancelled():
                    self.stop(key, CANCELLED)
            except Exception as error:
                logger.warning("cannot hear of cancels", extra={"error": type(error).__name__})
                await asyncio.sleep(HEAR_AGAIN_SECONDS)

    async def watch_cancels(self, process: int) -> None:
        """Until cancelled: stop the streams of this process that were cancelled on another."""
        while True:
            await self._store.notices.cancelled.wait(CANCEL_SECONDS)
            if not self._live:
                continue
            try:
                for key in await self._store.read(cancels.find_requested, process):
                    self.stop(key, CANCELLED)
            except Exception as error:
                logger.warning("cannot look for cancelled streams", extra={"error": type(error).__name__})

    async def _run(self, producer: Producer, request_id: str) -> None:
        """Run a producer and make sure that its stream ends, whatever happens."""
        key = producer.assignment.stream
        try:
            with metrics.ACTIVE_STREAMS.track_inprogress(), self._log.follow(key):
                if not await producer.run() and await self._close(producer) is None:
                    logger.warning("fenced: another producer has this stream", extra=names(producer, request_id))
        except StoreClosed:
            logger.warning("the store closed under a live stream", extra=names(producer, request_id))
        except Exception as error:
            logger.exception("producer broke", extra={**names(producer, request_id), "error": type(error).__name__})
            await self._close(producer)
        finally:
            del self._live[key]
            self._one_ended.set()
            log_terminal(producer, request_id)

    async def _close(self, producer: Producer) -> Closed | None:
        """Close the stream of a producer that cannot. What it counted goes on record, also where its log is lost."""
        key, tokens = producer.assignment.stream, producer.state.completion_tokens
        await self._store.write(ledger.note_tokens_all, (key, tokens))
        closed = await self._log.close(key, FAILED, attempt=producer.assignment.attempt)
        if closed is not None and closed.is_new:
            assignment = producer.assignment
            count_closed(closed.event, model=assignment.prompt.model, provider=assignment.provider.name)
        return closed
