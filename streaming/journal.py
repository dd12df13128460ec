"""What is told of the streams: a line in the logs per start, resume and terminal event, and counts; never a prompt."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import time

from streaming import metrics
from streaming.conf import settings
from streaming.endings import Settlement
from streaming.errors import Limited, Refusal
from streaming.eventlog.base import Outcome
from streaming.events import Event, usd
from streaming.pricing import cost
from streaming.producer import Assignment, Producer
from streaming.providers import registry
from streaming.providers.base import Provider
from streaming.reader import Reader

logger = logging.getLogger("streaming")

OTHER = "other"
"""The label of models that no provider offers by name: clients may ask for any name that looks like one."""

LAG_SECONDS = 0.5
"""How often the event loop's lag is measured."""


def names(producer: Producer, request_id: str) -> dict[str, str]:
    """What identifies a stream in a log line."""
    return {"stream_id": producer.assignment.stream_id, "request_id": request_id}


def log_start(assignment: Assignment, request_id: str) -> None:
    """A stream was started."""
    metrics.STARTS.labels(_label(assignment.provider, assignment.prompt.model)).inc()
    logger.info(
        "start",
        extra={
            "event": "start",
            "stream_id": assignment.stream_id,
            "request_id": request_id,
            "provider": assignment.provider.name,
            "model": assignment.prompt.model,
            "prompt_tokens": assignment.prompt_tokens,
        },
    )


def log_resume(stream_id: str, request_id: str, after: int, end: int) -> None:
    """A reader attached to a stream that it, or another, had started."""
    metrics.REPLAYED.inc(max(0, end - after))
    if after >= 0:
        metrics.RESUMES.inc()
        metrics.RESUME_GAP.observe(max(0, end - after))
    extra = {"event": "resume", "stream_id": stream_id, "request_id": request_id, "after": after, "end": end}
    logger.info("resume", extra=extra)


def log_terminal(producer: Producer, request_id: str) -> None:
    """A producer is through with its stream; ``outcome`` tells whether its terminal event is in the log."""
    settlement = producer.settlement
    if settlement is None:
        return
    if producer.outcome is Outcome.APPLIED:
        _count_terminal(producer, settlement)
    total = usd(settlement.total_pico_usd)
    logger.info(
        "terminal",
        extra={
            **names(producer, request_id),
            "event": "terminal",
            "outcome": producer.outcome and producer.outcome.value,
            "model": producer.assignment.prompt.model,
            "status": settlement.ending.status,
            "finish_reason": settlement.ending.finish_reason,
            "error_type": settlement.ending.error_type,
            "events": producer.state.event_id + 1,
            "chunks": producer.state.chunks_sent,
            "prompt_tokens": settlement.usage.prompt_tokens,
            "completion_tokens": settlement.usage.completion_tokens,
            "cost_usd": None if total is None else f"{total:f}",
            "cost_state": settlement.cost_state,
            "first_token_ms": settlement.first_token_ms,
            "latency_ms": settlement.latency_ms,
        },
    )


def log_orphan(stream_id: str, event: Event, *, model: str, provider: str, own: bool) -> None:
    """A stream whose producer is gone was closed with ``event``."""
    logger.warning(
        "closed a stream whose producer is gone", extra={"event": "closed_orphan", "stream_id": stream_id, "own": own}
    )
    metrics.ORPHANS.inc()
    count_closed(event, model=model, provider=provider)


def log_queued(stream_id: str, request_id: str) -> None:
    """A start waits for a worker."""
    logger.info("queued", extra={"event": "queued", "stream_id": stream_id, "request_id": request_id})


def log_unbegun(stream_id: str, event: Event, *, model: str, provider: str) -> None:
    """A stream was closed with ``event`` while it waited for a worker; nobody was asked."""
    logger.info("closed a stream that was not begun", extra={"event": "closed_unbegun", "stream_id": stream_id})
    count_closed(event, model=model, provider=provider)


def count_closed(event: Event, *, model: str, provider: str) -> None:
    """A stream was closed on its producer's behalf."""
    told = json.loads(event.data)
    known = next((each for each in registry.providers() if each.name == provider), None)
    label = OTHER if known is None else _label(known, model)
    status = "error" if "error_type" in told else told["finish_reason"]
    metrics.TERMINALS.labels(label, status, told.get("error_type", "")).inc()
    _count_cost(label, told["prompt_tokens"], told["completion_tokens"], told["cost_state"], told["total_cost"] or 0)


def count_reader(reader: Reader) -> None:
    """A reader's connection has ended."""
    metrics.ACTIVE_READERS.dec()
    if reader.reason != "terminal":
        metrics.READERS_DROPPED.labels(reader.reason).inc()


def count_saved_call() -> None:
    """A start was repeated, and attached to the stream that it had made before."""
    metrics.IDEMPOTENT_HITS.inc()


def count_refusal(refusal: Refusal) -> None:
    """A request was refused."""
    metrics.REFUSALS.labels(str(refusal.status), refusal.error_type).inc()
    if isinstance(refusal, Limited):
        metrics.QUOTA_REFUSALS.labels(refusal.error_type).inc()


async def watch_loop() -> None:
    """Until cancelled: measure by how much the event loop is late."""
    while True:
        due = time.monotonic() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.LOOP_LAG.observe(max(0.0, time.monotonic() - due))


def _count_terminal(producer: Producer, settlement: Settlement) -> None:
    assignment, ending, usage = producer.assignment, settlement.ending, settlement.usage
    label = _label(assignment.provider, assignment.prompt.model)
    error_type = "" if ending.error_type is None else ending.error_type.value
    metrics.TERMINALS.labels(label, ending.status, error_type).inc()
    metrics.DURATION.observe(settlement.latency_ms / 1000)
    if settlement.first_token_ms is not None:
        metrics.FIRST_TOKEN.labels(label).observe(settlement.first_token_ms / 1000)
    if error_type in metrics.UPSTREAM_ERRORS:
        metrics.UPSTREAM_FAILURES.labels(assignment.provider.name, error_type).inc()
    total = (settlement.total_pico_usd or 0) * metrics.PICO
    _count_cost(label, usage.prompt_tokens, usage.completion_tokens, settlement.cost_state, total)
    if settlement.reported and assignment.prices is not None:
        metrics.COMPARED_COST.labels(label, "provider").inc(total)
        estimate = cost(producer.counted, assignment.prices)
        metrics.COMPARED_COST.labels(label, "estimate").inc(estimate * metrics.PICO)


def _count_cost(label: str, prompt_tokens: int, completion_tokens: int, state: str, total: float) -> None:
    metrics.TOKENS.labels(label, "prompt").inc(prompt_tokens)
    metrics.TOKENS.labels(label, "completion").inc(completion_tokens)
    metrics.COST.labels(label, state).inc(total)


def _label(provider: Provider, model: str) -> str:
    return model if model in _offered(provider) or model == settings.STREAM_DEFAULT_MODEL else OTHER


@functools.cache
def _offered(provider: Provider) -> frozenset[str]:
    return frozenset(model.id for model in provider.models())
