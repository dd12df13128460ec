"""The engine: start, attach, read; owns the tasks of this process. The only door for views."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.utils.module_loading import import_string

from streaming import cancels, claims, conversations, lease
from streaming.claims import Claim, Found, Owner
from streaming.conf import settings
from streaming.context import room_for_turns, turns_to
from streaming.endings import CANCELLED, FAILED, INTERRUPTED
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
from streaming.journal import log_start, log_terminal, names
from streaming.keys import Credential
from streaming.limits import Place, Places, has_budget
from streaming.models import Stream
from streaming.params import Ask
from streaming.pricelist import prices_at
from streaming.pricing import Prices, count_tokens, most_cost
from streaming.producer import Assignment, Producer
from streaming.providers import registry
from streaming.providers.base import Model, Prompt, Provider, Turn
from streaming.reader import Reader
from streaming.revocations import Revocations
from streaming.store import Store, StoreClosed
from streaming.sweeper import Sweeper

logger = logging.getLogger("streaming.engine")

T = TypeVar("T")

RETRY_SECONDS = 5
"""``Retry-After`` of a refusal that passes."""

CLOSE_SECONDS = 5
"""How long a stopping process tries to write what is left to write."""

CANCEL_SECONDS = 0.25
"""How often a process looks whether one of its streams was cancelled elsewhere."""

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
    """One per process and event loop. ``start()`` before use; ``stop()`` is idempotent."""

    def __init__(self) -> None:
        self.store = Store()
        self.log = _make_log(self.store)
        self.revocations = Revocations(self.store)
        self.draining = False
        self.process = 0
        self._live: dict[int, Producer] = {}
        self._starting = 0
        self._readers_ended = False
        self._readers: set[Reader] = set()
        self._places = Places()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._running = ExitStack()

    async def start(self) -> None:
        """Register the process, start the writer, the event log and the sweeper."""
        self.store.start()
        self.process = (await self.store.write(lease.register, "web")).pk
        self._running.enter_context(self.log.run())
        sweeper = Sweeper(self.store, self.log, self.process, self._live.keys, lambda: self.draining)
        for work in (sweeper.run(), self._watch_cancels(), self.revocations.run()):
            self._running.callback(self._spawn(work).cancel)
        logger.info("process started", extra={"event": "process_started", "process_key": self.process})

    @property
    def live(self) -> int:
        """How many streams this process produces now."""
        return len(self._live)

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
            place = self._places.place(owner) if reads else None
            try:
                # Shielded: a client that leaves now must not leave a stream behind that nobody produces.
                found = await asyncio.shield(self._spawn(self._start(owner, ask, request_id, address, place)))
            finally:
                # Given back for ``read`` to take: until then nothing else runs.
                if place is not None:
                    place.leave()
        if not found.created:
            _check_attach(found, ask)
        return Opened(found, id_made_here=ask.stream_id is None)

    async def cancel(self, owner: Owner, stream_id: str) -> bool:
        """End a stream with ``done``, ``cancelled``, whichever process produces it; a closed one stays as it is.

        Answers whether it is closed, for which it waits up to ``CLOSE_SECONDS``. Raises StreamNotFound.
        """
        found = await self.store.read(claims.find, owner, stream_id)
        if found is None:
            raise StreamNotFound
        if not found.closed:
            self._stop(found.key)
        with self.log.follow(found.key) as follower, suppress(TimeoutError, LogGone):
            async with asyncio.timeout(CLOSE_SECONDS):
                if not found.closed:
                    await asyncio.shield(self._spawn(self.store.write(cancels.request_all, found.key)))
                while not found.closed:
                    # Does nothing as long as the producer lives.
                    await self.log.close(found.key, CANCELLED)
                    await follower.wait(found.last_event_id, CANCEL_SECONDS)
                    found = await self.store.read(claims.find, owner, stream_id) or found
        return found.closed

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
        place = self._places.place(owner)
        place.take()
        on_close = partial(self._let_go, place, credential)
        reader = Reader(self.log, found.key, after, opening=opening, on_close=on_close)
        if self._readers_ended:
            reader.end()
        self._readers.add(reader)
        if credential is not None:
            self.revocations.admit(reader, credential)
        return reader

    def _let_go(self, place: Place, credential: Credential | None, reader: Reader) -> None:
        place.leave()
        self._readers.discard(reader)
        if credential is not None:
            self.revocations.forget(reader, credential)

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """Take no new starts; let live streams finish for up to ``seconds``, or until ``hurry``; close the rest."""
        self.draining = True
        logger.info("draining", extra={"event": "draining", "live": self.live})
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._until_idle(hurry)
        for producer in self._live.values():
            producer.stop(INTERRUPTED)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._until_idle(asyncio.Event())
        await self._end_readers()

    async def stop_writing(self) -> None:
        """End the lease, the background tasks and the writer; what is in the log can still be read. Idempotent.

        Streams that are still live are left to other processes.
        """
        self._running.close()
        if self.process:
            with suppress(TimeoutError, StoreClosed):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.store.write(lease.release, self.process)
        await self.store.stop_writing()

    async def stop(self) -> None:
        """End everything, after ``drain`` or without it. Idempotent."""
        await self._end_readers()
        await self.stop_writing()
        await self.store.close()
        for provider in registry.providers():
            await provider.aclose()

    async def _start(self, owner: Owner, ask: Ask, request_id: str, address: str | None, place: Place | None) -> Found:
        provider, model = registry.find(ask.asked["model"]) if "model" in ask.asked else registry.default()
        try:
            position = await self.store.read(claims.find_position, owner, ask)
        except Stream.DoesNotExist:
            raise StreamNotFound("There is no such stream to follow: parent_id.") from None
        if place is not None:
            place.take()
        prompt = await self._prompt(ask, model, position.parent)
        tokens = count_tokens(prompt.system or "") + sum(count_tokens(turn.content) for turn in prompt.turns)
        prices = await self.store.read(prices_at, model)
        claim = Claim(
            owner=owner,
            stream_id=ask.stream_id or f"stream_{secrets.token_hex(16)}",
            ask=ask,
            model=model.id,
            provider=provider.name,
            prices=prices,
            prompt_tokens=tokens,
            process=self.process,
            position=position,
            request_id=request_id,
            address=address,
            most_pico_usd=_most_cost(provider, model, prompt, tokens, prices) if has_budget() else 0,
        )
        try:
            self._check_available(provider)
        except Unavailable:
            # A limit is told first.
            if (refusal := await self.store.read(claims.find_refusal, claim)) is not None:
                raise refusal from None
            raise
        self._starting += 1
        try:
            return await self._claim(claim, provider, prompt)
        finally:
            self._starting -= 1

    def _check_available(self, provider: Provider) -> None:
        registry.require_configured(provider)
        if self.draining:
            raise Unavailable("The server is shutting down; try again.", retry_after=RETRY_SECONDS)
        if len(self._live) + self._starting >= settings.STREAM_MAX_STREAMS:
            raise Unavailable("The server is full; try again.", retry_after=RETRY_SECONDS)

    async def _prompt(self, ask: Ask, model: Model, parent: int | None) -> Prompt:
        message = Turn("user", ask.message or "")
        room = room_for_turns(model, message.content, ask.asked.get("system"), ask.asked.get("max_tokens"))
        return Prompt(
            model=model.id,
            turns=(*await self.store.read_long(turns_to, parent, room), message),
            system=ask.asked.get("system"),
            temperature=ask.asked.get("temperature"),
            max_tokens=ask.asked.get("max_tokens"),
        )

    async def _claim(self, claim: Claim, provider: Provider, prompt: Prompt) -> Found:
        found = await self.store.write(claims.claim_all, claim)
        if found.created:
            assignment = Assignment(
                stream=found.key,
                stream_id=found.stream_id,
                attempt=1,
                provider=provider,
                prompt=prompt,
                prices=claim.prices,
                prompt_tokens=claim.prompt_tokens,
            )
            self._produce(assignment, claim.request_id)
        return found

    def _produce(self, assignment: Assignment, request_id: str) -> None:
        producer = Producer(assignment, self.log)
        self._live[assignment.stream] = producer
        log_start(assignment, request_id)
        self._spawn(self._run(producer, request_id))

    async def _run(self, producer: Producer, request_id: str) -> None:
        """Run a producer and make sure that its stream ends, whatever happens."""
        key, attempt = producer.assignment.stream, producer.assignment.attempt
        try:
            with self.log.follow(key):
                if not await producer.run() and await self.log.close(key, FAILED, attempt=attempt) is None:
                    logger.warning("fenced: another producer has this stream", extra=names(producer, request_id))
        except StoreClosed:
            logger.warning("the store closed under a live stream", extra=names(producer, request_id))
        except Exception as error:
            logger.exception("producer broke", extra={**names(producer, request_id), "error": type(error).__name__})
            await self.log.close(key, FAILED, attempt=attempt)
        finally:
            del self._live[key]
            log_terminal(producer, request_id)

    async def _watch_cancels(self) -> None:
        """Stop the streams of this process that were cancelled on another."""
        while True:
            await asyncio.sleep(CANCEL_SECONDS)
            if not self._live:
                continue
            try:
                for key in await self.store.read(cancels.find_requested, self.process):
                    self._stop(key)
            except Exception as error:
                logger.warning("cannot look for cancelled streams", extra={"error": type(error).__name__})

    def _stop(self, key: int) -> None:
        if (producer := self._live.get(key)) is not None:
            producer.stop(CANCELLED)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of its own: with no request's context, and held, so that it is not collected."""
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _until_idle(self, hurry: asyncio.Event) -> None:
        """Until no stream is live here, or ``hurry``."""
        while (self._live or self._starting) and not hurry.is_set():  # noqa: ASYNC110  # three conditions in one
            await asyncio.sleep(POLL_SECONDS)

    async def _end_readers(self) -> None:
        """Let the readers show what is in the log, then end their responses cleanly."""
        for _ in range(round(1 / POLL_SECONDS)):
            if self._readers:
                await asyncio.sleep(POLL_SECONDS)
        self._readers_ended = True
        for reader in tuple(self._readers):
            reader.end()
        await asyncio.sleep(POLL_SECONDS)


def _check_attach(found: Found, ask: Ask) -> None:
    """Raises Refusal where a stream cannot be attached to by this request."""
    if found.pruned:
        raise StreamPruned
    if ask.message is not None and ask.fingerprint != found.fingerprint:
        raise Conflict
    if ask.after > found.last_event_id:
        raise AheadOfLog(found.last_event_id)


def _most_cost(provider: Provider, model: Model, prompt: Prompt, tokens: int, prices: Prices | None) -> int | None:
    """The most that a call can cost, in pico-dollars; None where no price is known.

    The answer is bound by what the provider knows of it, else by ``max_tokens``, the model's context window and
    STREAM_MAX_BYTES, the smallest of those that there are.
    """
    if prices is None:
        return None
    bounds = (
        provider.most_output_tokens(prompt),
        prompt.max_tokens,
        model.context_window,
        settings.STREAM_MAX_BYTES,
    )
    answer = min(bound for bound in bounds if bound is not None)
    return most_cost(tokens, len(prompt.turns) + 1, answer, prices)


def _make_log(store: Store) -> EventLog:
    configured = settings.STREAM_EVENT_LOG
    log: EventLog = import_string(configured["BACKEND"])(store, **configured.get("OPTIONS", {}))
    return log
