"""The queue: starts that wait for a worker. SQL says which there are, the handover in Redis brings them to a worker.

A hand-over may be lost or doubled. A lost one is made again, by the oldest process; of a doubled one, whoever comes
second finds in SQL that the stream is taken.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from streaming import cancels, metrics
from streaming.conf import settings
from streaming.endings import CANCELLED, NOT_BEGUN, Ending
from streaming.eventlog.base import EventLog
from streaming.journal import log_unbegun
from streaming.queued import Queued, Take, Taken, find_queued, take_all
from streaming.store import Store

logger = logging.getLogger("streaming.queue")

ATTEMPT = 1
"""Of whoever takes a queued stream, to produce or to close it; there is no second."""

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
        there = {} if self._log.handover is None else await self._log.handover.waiting()
        # After Redis: what is there and not queued any more was taken, and not the other way round.
        queued = await self._store.read(find_queued)
        metrics.QUEUED.set(len(queued))
        now = timezone.now()
        overdue = now - timedelta(seconds=settings.STREAM_QUEUE_SECONDS)
        waiting = []
        for each in queued:
            if each.cancelled or each.created_at < overdue:
                await self.close(each.key, CANCELLED if each.cancelled else NOT_BEGUN)
            else:
                waiting.append(each)
        handed_over = now - timedelta(seconds=HAND_OVER_SECONDS)
        await self._tidy(there, [each for each in waiting if each.created_at < handed_over], {e.token for e in waiting})

    async def _tidy(self, there: dict[str, str], due: list[Queued], wanted: set[str]) -> None:
        """Make the handover hold what SQL says. ``there``: token by entry."""
        if self._log.handover is None:
            return
        if stale := [entry for entry, token in there.items() if token not in wanted]:
            await self._log.handover.settle(*stale)
        if lost := [each.token for each in due if each.token not in set(there.values())]:
            logger.warning("handing over again", extra={"event": "handed_over_again", "streams": len(lost)})
            await self._log.handover.put(*lost)
