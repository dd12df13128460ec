"""The engine: start, attach, read, cancel, erase; puts the parts of a process together. The only door for views."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from streaming import cancels, claims, conversations, lease
from streaming.claims import Found, Owner
from streaming.conf import settings
from streaming.endings import CANCELLED, INTERRUPTED
from streaming.errors import (
    AheadOfLog,
    Conflict,
    ConversationNotFound,
    LogGone,
    StreamNotFound,
    StreamPruned,
    Unavailable,
)
from streaming.eventlog.base import EventLog
from streaming.journal import log_orphan, watch_loop
from streaming.keys import Credential
from streaming.params import Ask
from streaming.production import CANCEL_SECONDS, Production
from streaming.providers import registry
from streaming.queue import Queue
from streaming.reader import Reader
from streaming.readership import Readership
from streaming.resumes import Resumes
from streaming.revocations import Revocations
from streaming.snapshots import read_answer, snapshot, so_far
from streaming.starts import RETRY_SECONDS, Start, Starts
from streaming.store import Store, StoreClosed
from streaming.sweeper import Sweeper
from streaming.tasks import Tasks
from streaming.worker import Worker

logger = logging.getLogger("streaming.engine")

CLOSE_SECONDS = 5
"""How long a stopping process tries to write what is left to write."""

POLL_SECONDS = 0.05
"""How often a stopping process looks whether it is done."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that a request has started or attached to."""

    found: Found
    id_made_here: bool

    @property
    def started(self) -> bool:
        return self.found.created


class Engine:
    """One per process and event loop. ``start()`` before use; ``stop()`` is idempotent.

    With ``concurrency`` it is a worker's, that takes as many queued starts at once; without, a web server's.
    """

    def __init__(self, *, concurrency: int = 0) -> None:
        self.store = Store()
        self.log = _make_log(self.store)
        self.revocations = Revocations(self.store)
        self._tasks = Tasks()
        self._production = Production(self.store, self.log, self._tasks)
        self._queue = Queue(self.store, self.log)
        self._starts = Starts(self.store, self._production, self._queue, self._tasks)
        self._worker = self._make_worker(concurrency) if concurrency else None
        self._readership = Readership(self.log, self.revocations)
        self._resumes = Resumes(self.store)
        self._process = 0
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Register the process, start the writer, the event log and the sweeper."""
        self.store.start()
        kind = "worker" if self._worker else "web"
        self._process = (await self.store.write(lease.register, kind)).pk
        self._starts.process = self._queue.process = self._process
        await self._running.enter_async_context(self.log.run())
        for work in self._background():
            self._running.callback(self._tasks.spawn(work).cancel)
        extra = {"event": "process_started", "process_key": self._process, "kind": kind}
        logger.info("process started", extra=extra)

    def _background(self) -> Iterator[Coroutine[Any, Any, None]]:
        live, readers = self._production.keys, self._readership.sizes
        sweeper = Sweeper(self.store, self.log, self._process, live, lambda: self.draining, self._queue, readers)
        yield from (sweeper.run(), self._production.watch_cancels(self._process), watch_loop())
        yield from (self.store.notices.run(), self.revocations.run(), self._resumes.run())
        if self.log.handover is not None:
            yield self._production.hear_cancels(self.log.handover)
        if self._worker is not None:
            yield self._worker.run()

    def _make_worker(self, concurrency: int) -> Worker:
        """Raises ImproperlyConfigured where the log hands nothing over."""
        if self.log.handover is None:
            raise ImproperlyConfigured("A worker gets its starts through Redis; set REDIS_URL.")
        return Worker(
            self.store,
            self.log.handover,
            self._queue,
            self._production,
            concurrency=concurrency,
            draining=lambda: self.draining,
        )

    @property
    def live(self) -> int:
        """How many streams this process produces now."""
        return self._production.size

    @property
    def draining(self) -> bool:
        """Whether the process is about to end, and takes no more starts."""
        return self._starts.refused

    @property
    def log_is_running(self) -> bool:
        """Whether the event log takes appends: from ``start`` until ``stop_writing``."""
        return self.store.takes_writes

    async def open(
        self, owner: Owner, ask: Ask, request_id: str, *, address: str | None = None, reads: bool = True
    ) -> Opened:
        """Start a stream, or attach to the one that has this id. Raises Refusal.

        ``address``: where an anonymous identity asks from, hashed. ``reads``: ``read`` follows at once, so that a
        start has to have a place for a reader.
        """
        found = await self.store.read(claims.find, owner, ask.stream_id) if ask.stream_id else None
        if found is None:
            if ask.resumes or ask.message is None:
                raise StreamNotFound
            place = self._readership.place(owner) if reads else None
            start = Start(owner, ask, request_id, address, place)
            try:
                # Shielded: a client that leaves now must not leave a stream behind that nobody produces.
                found = await asyncio.shield(self._tasks.spawn(self._starts.start(start)))
            finally:
                # Given back for ``read`` to take: until then nothing else runs.
                if place is not None:
                    place.leave()
        if not found.created:
            await self._check_attach(found, ask)
        return Opened(found, id_made_here=ask.stream_id is None)

    async def wait_until_closed(self, found: Found) -> None:
        """Wait for a stream's terminal event, whoever produces it."""
        with self.log.follow(found.key) as follower:
            while not await follower.ended(settings.STREAM_HEARTBEAT_SECONDS):
                pass

    async def cancel(self, owner: Owner, stream_id: str) -> bool:
        """End a stream with ``done``, ``cancelled``, whichever process produces it; a closed one stays as it is.

        Answers whether it is closed, for which it waits up to ``CLOSE_SECONDS``. Raises StreamNotFound.
        """
        found = await self.store.read(claims.find, owner, stream_id)
        if found is None:
            raise StreamNotFound
        if not found.closed:
            self._production.stop(found.key, CANCELLED)
        with self.log.follow(found.key) as follower, suppress(TimeoutError, LogGone):
            async with asyncio.timeout(CLOSE_SECONDS):
                if not found.closed:
                    await asyncio.shield(self._tasks.spawn(self._request_cancel(found.key)))
                while not found.closed:
                    await self._close_orphan(found)
                    await follower.ended(CANCEL_SECONDS)
                    found = await self.store.read(claims.find, owner, stream_id) or found
        return found.closed

    async def _request_cancel(self, stream: int) -> None:
        """On record first: whoever takes the stream from the queue, or produces it, finds it there."""
        await self.store.write(cancels.request_all, stream)
        await self._queue.close(stream, CANCELLED)
        await self._queue.tell_cancel(stream)

    async def _close_orphan(self, found: Found) -> None:
        """End a stream that is to be cancelled. Does nothing as long as its producer lives."""
        closed = await self.log.close(found.key, CANCELLED)
        if closed is not None and closed.is_new:
            _, model, provider = await self.store.read(cancels.find_names, found.key)
            log_orphan(found.stream_id, closed.event, model=model, provider=provider, own=False)

    async def snapshot(self, owner: Owner, stream_id: str) -> dict[str, Any] | None:
        """What is true of a stream now, with its text; None where the owner has no such stream. Raises Unavailable."""
        shown = await self.store.read_long(snapshot, owner, stream_id)
        if shown is None:
            return None
        if shown.closed:
            return shown.body
        answer = await read_answer(self.log, shown.key)
        if self.log.failing is not None:
            raise Unavailable("The event log is out of reach; try again.", retry_after=RETRY_SECONDS)
        if answer.closes:
            # It was closed in between: then its numbers are to be those of the end too.
            shown = await self.store.read_long(snapshot, owner, stream_id) or shown
        return shown.body if shown.closed else so_far(shown.body, answer)

    async def erase(self, owner: Owner, conversation_id: str) -> bool:
        """Forget the text of a conversation and keep its numbers; its live streams are cancelled.

        Answers whether all of it is done; where a producer is dead, the sweepers do the rest. Raises
        ConversationNotFound.
        """
        erased = await self.store.write(conversations.begin_all, conversations.Erasure(owner, conversation_id))
        if erased is None:
            raise ConversationNotFound
        live = await self.store.read(conversations.find_open, erased)
        await asyncio.gather(*(self.cancel(owner, stream_id) for stream_id in live))
        return await conversations.finish(self.store, erased)

    def read(
        self, owner: Owner, found: Found, after: int, opening: bytes, credential: Credential | None = None
    ) -> Reader:
        """Follow a stream after an event id, as long as ``credential`` is good. The caller closes the reader.

        Raises TooManyStreams.
        """
        reader = self._readership.admit(owner, found, after, opening, credential)
        if after >= 0:
            self._resumes.note(found.key)
        return reader

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """Take no new starts; let live streams finish for up to ``seconds``, or until ``hurry``; close the rest."""
        self._starts.refused = True
        produced = self.live > 0
        logger.info("draining", extra={"event": "draining", "live": self.live})
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._until_idle(hurry)
        self._production.stop_all(INTERRUPTED)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._until_idle(asyncio.Event())
        await self._readership.end(show=produced)

    async def stop_writing(self) -> None:
        """End the lease, the background tasks and the writer; what is in the log can still be read. Idempotent.

        Streams that are still live are left to other processes.
        """
        await self._running.aclose()
        if self._process:
            with suppress(TimeoutError, StoreClosed):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.store.write(lease.release, self._process)
        await self.store.stop_writing()

    async def stop(self) -> None:
        """End everything, after ``drain`` or without it. Idempotent."""
        await self._readership.end()
        await self._resumes.write()
        await self.stop_writing()
        await self.store.close()
        for provider in registry.providers():
            await provider.aclose()

    async def _check_attach(self, found: Found, ask: Ask) -> None:
        """Raises Refusal where a stream cannot be attached to by this request."""
        if found.pruned:
            raise StreamPruned
        if ask.message is not None and ask.fingerprint != found.fingerprint:
            raise Conflict
        if ask.after > found.last_event_id:
            if found.closed:
                raise AheadOfLog(found.last_event_id)
            try:
                # Of an open stream the log may know more.
                await self.log.read(found.key, ask.after)
            except LogGone as gone:
                raise AheadOfLog(gone.end - 1) from None

    async def _until_idle(self, hurry: asyncio.Event) -> None:
        """Until no stream is live here, nor about to be, or ``hurry``."""
        while self._is_busy() and not hurry.is_set():  # noqa: ASYNC110  # several conditions in one
            await asyncio.sleep(POLL_SECONDS)

    def _is_busy(self) -> bool:
        takes = self._worker is not None and self._worker.is_running
        return takes or self._production.size > 0 or self._starts.under_way > 0


def _make_log(store: Store) -> EventLog:
    configured = settings.STREAM_EVENT_LOG
    log: EventLog = import_string(configured["BACKEND"])(store, **configured.get("OPTIONS", {}))
    return log
