"""The queue: starts that wait for a worker. SQL says which there are, the handover in Redis brings them to a worker.

A hand-over may be lost or doubled. A lost one is made again, by the oldest process; of a doubled one, whoever comes
second finds in SQL that the stream is taken.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from django.utils import timezone

from streaming import cancels, metrics
from streaming.conf import settings
from streaming.endings import CANCELLED, NOT_BEGUN, Ending
from streaming.eventlog.base import EventLog, Handover
from streaming.journal import log_unbegun
from streaming.queued import Queued, Take, Taken, find_queued, take_all
from streaming.store import Store

logger = logging.getLogger("streaming.queue")

ATTEMPT = 1
"""Of whoever takes a queued stream, to produce or to close it; there is no second."""

CLOSE_AT_ONCE = 100
"""Streams that are closed together, in few transactions."""

HAND_OVER_SECONDS = 2
"""A start that is queued for so long has been handed over, or never will be by who took it from its client."""


class Queue:
    """The queue as one process sees it; ``process`` is its key."""

    def __init__(self, store: Store, log: EventLog) -> None:
        self.process = 0
        self._store = store
        self._log = log

    async def hand_over(self, token: str) -> None:
        """Tell the workers of a start. Where Redis cannot, it is done later, see ``keep``."""
        if self._log.handover is None:
            return
        try:
            await self._log.handover.put(token)
        except Exception as error:
            logger.warning("cannot hand a start over yet", extra={"error": type(error).__name__})

    async def close(self, stream: int, ending: Ending) -> None:
        """End a stream that waits, with nobody asked; does nothing to one that does not."""
        if await self._store.write(take_all, Take(stream, self.process, dispatch=False)) is Taken.HELD:
            await self.close_held(stream, ending)

    async def close_held(self, stream: int, ending: Ending) -> None:
        """End a stream that was taken to be closed."""
        closed = await self._log.close(stream, ending, attempt=ATTEMPT)
        if closed is not None and closed.is_new:
            stream_id, model, provider = await self._store.read(cancels.find_names, stream)
            log_unbegun(stream_id, closed.event, model=model, provider=provider)

    async def tell_cancel(self, stream: int) -> None:
        """Tell the process that produces a stream that it is to end; it finds out by itself, a little later."""
        if self._log.handover is None:
            return
        try:
            await self._log.handover.tell_cancel(stream)
        except Exception as error:
            logger.warning("cannot tell of a cancel", extra={"error": type(error).__name__})

    async def keep(self) -> None:
        """End what has waited too long, or is cancelled; hand over again what was lost. For one process at a time."""
        there = await self._handed_over()
        # After Redis: what is there and not queued any more was taken, and not the other way round.
        queued = await self._store.read(find_queued)
        metrics.QUEUED.set(len(queued))
        now = timezone.now()
        overdue = now - timedelta(seconds=settings.STREAM_QUEUE_SECONDS)
        over: list[Queued] = []
        waiting: list[Queued] = []
        for each in queued:
            (over if each.cancelled or each.created_at < overdue else waiting).append(each)
        for some in range(0, len(over), CLOSE_AT_ONCE):
            await asyncio.gather(*map(self._close_over, over[some : some + CLOSE_AT_ONCE]))
        if self._log.handover is not None and there is not None:
            await self._tidy(self._log.handover, there, waiting)

    async def _close_over(self, queued: Queued) -> None:
        await self.close(queued.key, CANCELLED if queued.cancelled else NOT_BEGUN)

    async def _handed_over(self) -> dict[str, str] | None:
        """Token by entry; None where nobody can tell."""
        try:
            return await self._log.handover.waiting() if self._log.handover else None
        except Exception as error:
            logger.warning("cannot look at what is handed over", extra={"error": type(error).__name__})
            return None

    async def _tidy(self, handover: Handover, there: dict[str, str], waiting: list[Queued]) -> None:
        """Make the handover hold what SQL says."""
        wanted, there_too = {each.token for each in waiting}, set(there.values())
        if stale := [entry for entry, token in there.items() if token not in wanted]:
            await handover.settle(*stale)
        due = timezone.now() - timedelta(seconds=HAND_OVER_SECONDS)
        if lost := [each.token for each in waiting if each.created_at < due and each.token not in there_too]:
            logger.warning("handing over again", extra={"event": "handed_over_again", "streams": len(lost)})
            await handover.put(*lost)
