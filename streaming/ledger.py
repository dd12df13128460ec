"""The ledger: a cost record is born with its stream and settled with its terminal event.

Synchronous functions; each runs in a transaction of its caller.
"""

from __future__ import annotations

import json

from django.utils import timezone

from streaming.endings import Ending, Settlement
from streaming.events import EventType
from streaming.models import CostRecord, CostState, Stream, StreamEvent
from streaming.pricing import Prices, Usage

MOST_MS = 2**31 - 1
"""The longest that a column of milliseconds holds: a backup may bring back streams that are years old."""


def open_record(stream: Stream, prompt_tokens: int, prices: Prices | None, reserved_pico_usd: int) -> CostRecord:
    """The pending record of a new stream, with the unit prices that it will be settled at, and what is put aside."""
    record = CostRecord(
        stream=stream,
        prompt_tokens=prompt_tokens,
        reserved_pico_usd=reserved_pico_usd,
        created_at=stream.created_at,
    )
    if prices is not None:
        record.input_price = prices.input
        record.output_price = prices.output
        record.cached_input_price = prices.cached_input
        record.cache_write_price = prices.cache_write
        record.price_source = prices.source
    return record


def note_usage(stream: int, usage: Usage) -> None:
    """Keep what a provider tells of the prompt before its answer is complete."""
    CostRecord.objects.filter(pk=stream, state=CostState.PENDING).update(
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )


def note_tokens_all(counted: list[tuple[int, int]]) -> list[None]:
    """Keep what was counted of answers, by stream, that others are to settle."""
    for stream, tokens in counted:
        CostRecord.objects.filter(pk=stream, state=CostState.PENDING).update(completion_tokens=tokens)
    return [None] * len(counted)


def settle(stream: int, settlement: Settlement) -> None:
    """Write down a stream's end and its cost, in place of what was put aside.

    Called once, in the transaction that closes the log.
    """
    now = timezone.now()
    ending, usage = settlement.ending, settlement.usage
    Stream.objects.filter(pk=stream).update(
        status=ending.status,
        finish_reason=ending.finish_reason,
        error_type=ending.error_type or "",
        error=ending.error,
        finished_at=now,
        latency_ms=settlement.latency_ms,
        first_token_ms=settlement.first_token_ms,
    )
    CostRecord.objects.filter(pk=stream).update(
        state=settlement.cost_state,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        total_pico_usd=settlement.total_pico_usd,
        raw_usage=usage.raw,
        reserved_pico_usd=0,
        settled_at=now,
    )


def settlement_from_log(stream: Stream, ending: Ending) -> Settlement:
    """What the log and the pending record know of a stream that its producer did not finish.

    Where both have a count of the answer the larger one is true: a log may have lost its end. Of a stream that was
    never dispatched nobody was asked, so that there is nothing to count.
    """
    chunks = StreamEvent.objects.filter(stream=stream, type=EventType.MESSAGE_CHUNK).order_by("event_id")
    tokens, first = 0, None
    for data, elapsed_ms in chunks.values_list("data", "elapsed_ms").iterator():
        tokens += json.loads(data)["tokens"]
        first = elapsed_ms if first is None else first
    lasted = (timezone.now() - stream.created_at).total_seconds() * 1000
    counted = usage_of(stream.cost).answered_with(max(tokens, stream.cost.completion_tokens))
    return Settlement(
        ending=ending,
        usage=Usage() if stream.dispatched_at is None else counted,
        reported=False,
        prices=prices_of(stream.cost),
        latency_ms=max(0, min(round(lasted), MOST_MS)),
        first_token_ms=first,
    )


def usage_of(record: CostRecord) -> Usage:
    """The counts that a record holds."""
    return Usage(
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        cached_tokens=record.cached_tokens,
        cache_write_tokens=record.cache_write_tokens,
        reasoning_tokens=record.reasoning_tokens,
    )


def prices_of(record: CostRecord) -> Prices | None:
    """The unit prices that a record was opened with; None where none was known."""
    if record.input_price is None or record.output_price is None:
        return None
    return Prices(
        input=record.input_price,
        output=record.output_price,
        cached_input=record.cached_input_price or 0,
        cache_write=record.cache_write_price or 0,
        source=record.price_source,
    )
