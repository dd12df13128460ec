"""The sweeper: renews this process's lease, closes what the dead left, ends erasures, seals logs, keeps the queue."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from operator import itemgetter

from django.db import Error
from django.utils import timezone

from streaming import conversations, metrics, sealing
from streaming.conf import settings
from streaming.endings import CANCELLED, INTERRUPTED
from streaming.eventlog.base import EventLog
from streaming.journal import log_orphan
from streaming.lease import RENEWALS_PER_LEASE, Renewal, is_dead, renew, store_clock
from streaming.models import Process, StreamHead
from streaming.queue import Queue
from streaming.store import Store, StoreClosed

logger = logging.getLogger("streaming.sweeper")

GRACE_SECONDS = 2
"""After an outage of the store everyone's lease looks dead for a moment; so long others are left alone."""

CLOSE_AT_ONCE = 100
"""Orphans that are closed together, in one transaction or few."""

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
    model: str
    provider: str


@dataclass
class Sweeper:
    """``live()`` tells the keys of the streams that this process produces, ``readers()`` how many each stream has.

    ``clock`` is monotonic.
    """

    store: Store
    log: EventLog
    process: int
    live: Callable[[], Collection[int]]
    draining: Callable[[], bool]
    queue: Queue
    readers: Callable[[], dict[int, int]] = dict
    clock: Callable[[], float] = time.monotonic
    _renewed: float = 0.0
    _renewing: bool = False
    _hold_until: float = 0.0
    _suspects: set[int] = field(default_factory=set)
    _is_oldest: bool = False
    """Of all live processes this one seals, and keeps the queue: more of them would do the same work, in vain."""
    _unsealable: set[int] = field(default_factory=set)

    async def run(self) -> None:
        """Until cancelled: renew the lease, and beside it, so that none waits for the other, sweep and seal."""
        self._renewed = self.clock()
        await self._renew()
        await asyncio.gather(
            _every(lambda: settings.STREAM_LEASE_SECONDS / RENEWALS_PER_LEASE, self._renew),
            _every(lambda: settings.STREAM_SWEEP_SECONDS, self.sweep),
            _every(lambda: settings.STREAM_SWEEP_SECONDS, self.seal),
            _every(lambda: settings.STREAM_SWEEP_SECONDS, self.keep_queue),
        )

    async def sweep(self) -> None:
        """Close what has to be closed. One stream that cannot be closed holds up no other."""
        open_streams = await self.store.read(find_open, self.process)
        # Looked at afterwards: the question itself may have waited for the end of an outage.
        if self._renewing or self.clock() < self._hold_until:
            return
        own = {stream.key for stream in open_streams if stream.own} - set(self.live())
        orphans = [each for each in open_streams if not each.own or each.key in self._suspects & own]
        for start in range(0, len(orphans), CLOSE_AT_ONCE):
            await asyncio.gather(*map(self._close, orphans[start : start + CLOSE_AT_ONCE]))
        # One of our own is an orphan only at second sight: its producer may be just about to start or end.
        self._suspects = own
        for conversation in await self.store.read(conversations.find_unfinished):
            await conversations.finish(self.store, conversation)

    async def seal(self) -> None:
        """Seal some logs that ended a while ago, one after the other: none holds up what is live."""
        if not self._is_oldest or self.draining():
            return
        before = timezone.now() - timedelta(seconds=settings.STREAM_SEAL_SECONDS)
        for stream in await self.store.read_long(sealing.find_sealable, before, self._unsealable):
            try:
                await self.store.write(sealing.seal_all, await self.store.read_long(sealing.pack_log, stream))
            except sealing.Unsealable as error:
                self._unsealable.add(stream)
                logger.error("a log stays unsealed", extra={"error": str(error)})

    async def keep_queue(self) -> None:
        """End what waits too long for a worker, and hand over again what was lost."""
        if self._is_oldest:
            await self.queue.keep()
        else:
            metrics.QUEUED.set(0)

    async def _renew(self) -> None:
        began = self.clock()
        self._renewing = True
        try:
            others = await self.store.write(renew, Renewal(self.process, self.draining(), self.readers()))
        finally:
            self._renewing = False
        self.store.others_write = bool(others)
        self._is_oldest = all(self.process < other for other in others)
        late = self.clock() - self._renewed > settings.STREAM_LEASE_SECONDS or self.clock() - began > SLOW_SECONDS
        self._renewed = self.clock()
        if late:
            self._hold_until = self._renewed + GRACE_SECONDS

    async def _close(self, stream: OpenStream) -> None:
        ending = CANCELLED if stream.cancelled else INTERRUPTED
        attempt = stream.attempt if stream.own else None
        names = {"stream_id": stream.stream_id, "own": stream.own}
        try:
            closed = await self.log.close(stream.key, ending, attempt=attempt)
        except StoreClosed:
            raise
        except Exception as error:
            logger.exception("cannot close an orphan", extra={**names, "error": type(error).__name__})
        else:
            if closed is not None and closed.is_new:
                log_orphan(stream.stream_id, closed.event, model=stream.model, provider=stream.provider, own=stream.own)


async def _every(interval: Callable[[], float], work: Callable[[], Awaitable[None]]) -> None:
    """Do ``work`` again and again, whatever it raises, until the store is closed."""
    while True:
        await asyncio.sleep(interval())
        try:
            await work()
        except StoreClosed:
            return
        except Error as error:
            logger.warning("sweep failed: database out of reach", extra={"error": type(error).__name__})
        except Exception as error:
            logger.exception("sweep failed", extra={"error": type(error).__name__})


def find_open(process: int) -> list[OpenStream]:
    """The open streams of dead processes and of ``process`` itself."""
    open_heads = StreamHead.objects.filter(closed=False)
    # By way of the open heads, which are few: dead processes are many, and a database may look at all they ever did.
    producers = set(open_heads.values_list("process", flat=True).distinct()) - {None}
    dead = Process.objects.filter(is_dead(store_clock()), pk__in=producers).values_list("pk", flat=True)
    # In no order: SQLite would answer that from an index of all streams.
    stream = (f"stream__{name}" for name in ("stream_id", "model", "provider", "cancel_requested_at"))
    facts = ("pk", "attempt", "process", *stream)
    rows = open_heads.filter(process__in={process, *dead}).values_list(*facts)
    return [
        OpenStream(key, stream_id, attempt, producer == process, cancel is not None, model, provider)
        for key, attempt, producer, stream_id, model, provider, cancel in sorted(rows, key=itemgetter(0))
    ]
