"""Starts: from what a request asks to a claim on a new stream, and the prompt that its provider gets.

Whose production it is: that of this process, or with ``STREAM_PRODUCERS=workers`` of whoever takes it from the queue.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streaming import claims
from streaming.claims import Claim, Found, Owner, Position
from streaming.conf import WORKERS, settings
from streaming.context import room_for_turns, turns_to
from streaming.errors import StreamNotFound, Unavailable
from streaming.journal import log_queued
from streaming.limits import Place, has_budget
from streaming.models import Stream
from streaming.params import Ask
from streaming.pricelist import prices_at
from streaming.pricing import Prices, count_tokens, most_cost
from streaming.producer import Assignment
from streaming.production import Production
from streaming.providers import registry
from streaming.providers.base import Model, Prompt, Provider, Turn
from streaming.queue import Queue
from streaming.queued import to_token
from streaming.store import Store
from streaming.tasks import Tasks

RETRY_SECONDS = 5
"""``Retry-After`` of a refusal that passes."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a request that starts a stream brings along. ``address``: see ``Claim.address``.

    ``place``: of the reader that follows at once, where one does.
    """

    owner: Owner
    ask: Ask
    request_id: str
    address: str | None
    place: Place | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows of a start: where it stands, the turns that it follows, what its call costs."""

    position: Position
    turns: Sequence[Turn]
    prices: Prices | None


class Asked(Protocol):
    """What goes to a provider as it was asked for; of a request, or of the rows that were made of it."""

    @property
    def message(self) -> str | None: ...
    @property
    def system(self) -> str | None: ...
    @property
    def temperature(self) -> float | None: ...
    @property
    def max_tokens(self) -> int | None: ...


class Starts:
    """Starts streams that ``process`` then produces, or leaves them in the queue."""

    def __init__(self, store: Store, production: Production, queue: Queue, tasks: Tasks) -> None:
        self.process = 0
        self.refused = False
        """No more starts are taken: the process is about to end."""
        self.under_way = 0
        self._store = store
        self._production = production
        self._queue = queue
        self._tasks = tasks

    async def start(self, start: Start) -> Found:
        """The new stream, produced from now on; or the one that somebody else made meanwhile. Raises Refusal."""
        ask = start.ask
        provider, model = registry.find(ask.asked["model"]) if "model" in ask.asked else registry.default()
        known = await self._look_up(start, model)
        if start.place is not None:
            start.place.take()
        prompt = to_prompt(ask, model, known.turns)
        claim = self._claim(start, provider, model, prompt, known)
        await self._check_available(provider, claim)
        self.under_way += 1
        try:
            found = await self._store.write(claims.claim_all, claim)
            if found.created and claim.process is None:
                log_queued(found.stream_id, claim.request_id)
                self._tasks.spawn(self._hand_over(to_token(found.key, claim.nonce)))
            elif found.created:
                self._production.take_on(_assignment(claim, found, provider, prompt), claim.request_id)
        finally:
            self.under_way -= 1
        return found

    async def _hand_over(self, token: str) -> None:
        """Beside the answer to the client: the start is on record, and handed over again where this is lost."""
        self.under_way += 1
        try:
            await self._queue.hand_over(token)
        finally:
            self.under_way -= 1

    async def _look_up(self, start: Start, model: Model) -> Known:
        """In one go, as each costs a change of threads. Of a message that follows none nothing is long."""
        follows = not {"parent_id", "conversation_id"}.isdisjoint(start.ask.asked)
        look = self._store.read_long if follows else self._store.read
        try:
            return await look(_look_up, start.owner, start.ask, model)
        except Stream.DoesNotExist:
            raise StreamNotFound("There is no such stream to follow: parent_id.") from None

    def _claim(self, start: Start, provider: Provider, model: Model, prompt: Prompt, known: Known) -> Claim:
        tokens = count_tokens(prompt.system or "") + sum(count_tokens(turn.content) for turn in prompt.turns)
        return Claim(
            owner=start.owner,
            stream_id=start.ask.stream_id or f"stream_{secrets.token_hex(16)}",
            ask=start.ask,
            model=model.id,
            provider=provider.name,
            prices=known.prices,
            prompt_tokens=tokens,
            process=None if settings.STREAM_PRODUCERS == WORKERS else self.process,
            position=known.position,
            request_id=start.request_id,
            address=start.address,
            most_pico_usd=_most_cost(provider, model, prompt, tokens, known.prices) if has_budget() else 0,
        )

    async def _check_available(self, provider: Provider, claim: Claim) -> None:
        """Raises Unavailable; or Limited, which is told first."""
        try:
            registry.require_configured(provider)
            if self.refused:
                raise Unavailable("The server is shutting down; try again.", retry_after=RETRY_SECONDS)
            if self._production.log_failing is not None:
                raise Unavailable("The event log is out of reach; try again.", retry_after=RETRY_SECONDS)
            if claim.process is not None and self._production.size + self.under_way >= settings.STREAM_MAX_STREAMS:
                raise Unavailable("The server is full; try again.", retry_after=RETRY_SECONDS)
        except Unavailable:
            if (refusal := await self._store.read(claims.find_refusal, claim)) is not None:
                raise refusal from None
            raise


def _look_up(owner: Owner, ask: Ask, model: Model) -> Known:
    """Raises as ``claims.find_position`` does."""
    position = claims.find_position(owner, ask)
    return Known(position, find_turns(ask, model, position.parent), prices_at(model))


def find_turns(asked: Asked, model: Model, parent: int | None) -> Sequence[Turn]:
    """The turns before a message, as far as its model has room for them. Synchronous."""
    return turns_to(parent, room_for_turns(model, asked.message or "", asked.system, asked.max_tokens))


def to_prompt(asked: Asked, model: Model, turns: Sequence[Turn]) -> Prompt:
    """What a model is asked."""
    return Prompt(
        model=model.id,
        turns=(*turns, Turn("user", asked.message or "")),
        system=asked.system,
        temperature=asked.temperature,
        max_tokens=asked.max_tokens,
    )


def _assignment(claim: Claim, found: Found, provider: Provider, prompt: Prompt) -> Assignment:
    return Assignment(
        stream=found.key,
        stream_id=found.stream_id,
        attempt=1,
        provider=provider,
        prompt=prompt,
        prices=claim.prices,
        prompt_tokens=claim.prompt_tokens,
    )


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
