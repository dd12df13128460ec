"""What the engine writes into the logs: one line per start, resume and terminal event; never a prompt."""

from __future__ import annotations

import logging

from streaming.events import usd
from streaming.producer import Assignment, Producer

logger = logging.getLogger("streaming")


def names(producer: Producer, request_id: str) -> dict[str, str]:
    """What identifies a stream in a log line."""
    return {"stream_id": producer.assignment.stream_id, "request_id": request_id}


def log_start(assignment: Assignment, request_id: str) -> None:
    """A stream was started."""
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
    extra = {"event": "resume", "stream_id": stream_id, "request_id": request_id, "after": after, "end": end}
    logger.info("resume", extra=extra)


def log_terminal(producer: Producer, request_id: str) -> None:
    """A producer is through with its stream; ``outcome`` tells whether its terminal event is in the log."""
    settlement = producer.settlement
    if settlement is None:
        return
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
