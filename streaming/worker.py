"""A worker: takes queued starts as long as it has room, and produces them."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable

from streaming import metrics
from streaming.endings import CANCELLED
from streaming.eventlog.base import Handover
from streaming.producer import Assignment
from streaming.production import Production
from streaming.providers import registry
from streaming.queue import ATTEMPT, Queue
from streaming.queued import Order, Take, Taken, find_order, parse_token, take_all
from streaming.starts import find_turns, to_prompt
from streaming.store import Store

logger = logging.getLogger("streaming.worker")

AT_ONCE = 8
"""The most starts of one look, so that workers that are idle share what comes at once."""

AGAIN_SECONDS = 0.5
"""Between two looks where Redis or the database is out of reach."""


class Worker:
    """Has room for ``concurrency`` streams, until ``draining()``."""

    def __init__(
        self,
        store: Store,
        handover: Handover,
        queue: Queue,
        production: Production,
        *,
        concurrency: int,
        draining: Callable[[], bool],
    ) -> None:
        self.is_running = False
        """Whether it may still take a start."""
        self._store = store
        self._handover = handover
        self._queue = queue
        self._production = production
        self._concurrency = concurrency
        self._draining = draining

    async def run(self) -> None:
        """Until draining: take starts."""
        self.is_running = True
        try:
            while not self._draining():
                await self._look()
        finally:
            self.is_running = False

    async def _look(self) -> None:
        if (room := self._concurrency - self._production.size) <= 0:
            await self._production.wait_for_an_end(AGAIN_SECONDS)
            return
        try:
            entries = await self._handover.take(min(room, AT_ONCE))
        except Exception as error:
            logger.warning("cannot look for starts", extra={"error": type(error).__name__})
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            await asyncio.gather(*(self._take(entry, token) for entry, token in entries.items()))

    async def _take(self, entry: str, token: str) -> None:
        """Take one start, and let go of its entry. One that this process cannot produce is left for another."""
        try:
            if self._draining():
                await self._handover.put(token)
            else:
                await self._begin(*parse_token(token))
            await self._handover.settle(entry)
        except Exception as error:
            logger.warning("cannot take a start", extra={"start": token, "error": type(error).__name__})

    async def _begin(self, stream: int, claim: uuid.UUID) -> None:
        """Prepared before it is taken: from then on it is never run again, so nothing may go wrong in between."""
        if (order := await self._store.read(find_order, stream, claim)) is None:
            return
        assignment = await self._assignment(stream, order)
        taken = await self._store.write(take_all, Take(stream, self._queue.process, claim))
        if taken is Taken.DISPATCHED:
            metrics.QUEUE_WAIT.observe(order.waited)
            self._production.take_on(assignment, order.request_id)
        elif taken is Taken.HELD:
            await self._queue.close_held(stream, CANCELLED)

    async def _assignment(self, stream: int, order: Order) -> Assignment:
        provider, model = registry.find(order.model)
        registry.require_configured(provider)
        turns = await self._store.read_long(find_turns, order, model, order.parent)
        return Assignment(
            stream=stream,
            stream_id=order.stream_id,
            attempt=ATTEMPT,
            provider=provider,
            prompt=to_prompt(order, model, turns),
            prices=order.prices,
            prompt_tokens=order.prompt_tokens,
            waited=order.waited,
        )
