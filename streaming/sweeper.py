"""The sweeper: renews this process's lease, closes the streams whose producer is dead, ends erasures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from django.db.models import Q

from streaming import conversations
from streaming.conf import settings
from streaming.endings import CANCELLED, INTERRUPTED
from streaming.eventlog.base import EventLog
from streaming.lease import RENEWALS_PER_LEASE, Renewal, is_dead, renew, store_clock
from streaming.models import Process, StreamHead
from streaming.store import Store, StoreClosed

logger = logging.getLogger("streaming.sweeper")

GRACE_SECONDS = 2
"""After an outage of the store everyone's lease looks dead for a moment; so long others are left alone."""

SLOW_SECONDS = 1
"""A renewal that takes so long tells of an outage: the others' renewals had to wait as well."""


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A stream without a terminal event whose producer is dead, or is this very process."""

    key: int
    stream_id: str
    attempt: int
    own: bool
    cancelled: bool


@dataclass
class Sweeper:
    """``live()`` tells the keys of the streams that this process produces. ``clock`` is monotonic."""

    store: Store
    log: EventLog
    process: int
    live: Callable[[], Collection[int]]
    draining: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    _renewed: float = 0.0
    _hold_until: float = 0.0
    _suspects: set[int] = field(default_factory=set)

    async def run(self) -> None:
        """Until cancelled, every ``STREAM_SWEEP_SECONDS``."""
        self._renewed = self.clock()
        await self._renew()
        while True:
            try:
                await self.sweep()
            except StoreClosed:
                return
            except Exception as error:
                logger.warning("sweep failed", extra={"error": type(error).__name__})
            await asyncio.sleep(settings.STREAM_SWEEP_SECONDS)

    async def sweep(self) -> None:
        """Renew the lease if it is time to; close what has to be closed."""
        if self.clock() - self._renewed >= settings.STREAM_LEASE_SECONDS / RENEWALS_PER_LEASE:
            await self._renew()
        if self.clock() < self._hold_until:
            return
        open_streams = await self.store.read(find_open, self.process)
        own = {stream.key for stream in open_streams if stream.own} - set(self.live())
        for stream in open_streams:
            if not stream.own or (stream.key in self._suspects and stream.key in own):
                await self._close(stream)
        # One of our own is an orphan only at second sight: its producer may be just about to start or end.
        self._suspects = own
        for conversation in await self.store.read(conversations.find_unfinished):
            await conversations.finish(self.store, conversation)

    async def _renew(self) -> None:
        began = self.clock()
        shared = await self.store.write(renew, Renewal(self.process, self.draining()))
        self.store.others_write = shared
        late = self.clock() - self._renewed > settings.STREAM_LEASE_SECONDS or self.clock() - began > SLOW_SECONDS
        self._renewed = self.clock()
        if late:
            self._hold_until = self._renewed + GRACE_SECONDS

    async def _close(self, stream: OpenStream) -> None:
        ending = CANCELLED if stream.cancelled else INTERRUPTED
        attempt = stream.attempt if stream.own else None
        if await self.log.close(stream.key, ending, attempt=attempt) is not None:
            logger.warning(
                "closed a stream whose producer is gone",
                extra={"event": "closed_orphan", "stream_id": stream.stream_id, "own": stream.own},
            )


def find_open(process: int) -> list[OpenStream]:
    """The open streams of dead processes and of ``process`` itself."""
    dead = Process.objects.filter(is_dead(store_clock())).values("pk")
    heads = StreamHead.objects.filter(Q(process=process) | Q(process__isnull=True) | Q(process__in=dead), closed=False)
    facts = ("pk", "stream__stream_id", "attempt", "process", "stream__cancel_requested_at")
    return [
        OpenStream(key, stream_id, attempt, own=producer == process, cancelled=cancel is not None)
        for key, stream_id, attempt, producer, cancel in heads.order_by("pk").values_list(*facts)
    ]
