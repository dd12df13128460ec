"""Example history: streams of the past two weeks that nobody asked for, so that a new admin has something to show.

All of it belongs to the issuer ``example``, whom no session and no key can be: nobody's history has it, and one
command removes it. It ends yesterday, so that no budget of today knows of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from django.db import transaction

from streaming import ledger
from streaming.endings import CANCELLED, Ending, Settlement
from streaming.errors import ErrorType
from streaming.events import FinishReason
from streaming.models import CostRecord, Status, Stream, StreamEvent, StreamHead
from streaming.pricing import Prices, Usage, count_tokens
from streaming.state import SSEStreamState

ISSUER = "example"
DAYS = 14
USERS = ("example-ada", "example-grace", "example-alan", "example-edsger")
QUESTIONS = {
    "Summarise the notes of Monday's planning meeting": "meeting_recap@1",
    "Write a polite reply to a customer whose parcel is late": "email_reply@1",
    "Explain what an index does to a slow query": None,
    "Translate the release notes into plain words": "translation@1",
    "Find the mistake in this function": None,
    "Give me five names for a newsletter about bread": "brainstorm@1",
}
"""Each with the template that it was made from."""
ANSWER = "This answer was made up for the first look at the admin. No model wrote it and nobody was charged for it."
WORDS = tuple(ANSWER.split())
FAILED = Ending(
    error_type=ErrorType.PROVIDER_TIMEOUT,
    error="The provider did not answer in time. Please try again.",
    retryable=True,
)
ENDINGS = (
    *[Ending(finish_reason=FinishReason.STOP)] * 17,
    Ending(finish_reason=FinishReason.LENGTH),
    CANCELLED,
    FAILED,
)
MODELS = (
    ("demo", Prices(150_000, 600_000, 150_000, 150_000, "example")),
    ("example-large", Prices(2_500_000, 10_000_000, 250_000, 2_500_000, "example")),
)


@dataclass(frozen=True, slots=True)
class Example:
    """A stream that is to be."""

    number: int
    started_at: datetime
    prices: Prices
    model: str
    ending: Ending


def examples(today: datetime, random: Random) -> list[Example]:
    """A few streams for each of the days before ``today``, more of them on working days."""
    planned = []
    for days in range(DAYS, 0, -1):
        midnight = (today - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(random.randint(1, 3) if midnight.weekday() >= 5 else random.randint(4, 9)):
            model, prices = random.choice(MODELS)
            started_at = midnight + timedelta(seconds=random.randrange(7 * 3600, 22 * 3600))
            planned.append((started_at, model, prices, random.choice(ENDINGS)))
    planned.sort(key=lambda each: each[0])
    return [Example(number, at, prices, model, ending) for number, (at, model, prices, ending) in enumerate(planned)]


@transaction.atomic
def add(planned: list[Example], random: Random, progress: Callable[[int], None]) -> None:
    """Write the examples down, as the engine would have."""
    for example in planned:
        _add(example, random)
        progress(example.number + 1)


def exist() -> bool:
    """Whether there are examples."""
    return Stream.objects.filter(issuer=ISSUER).exists()


@transaction.atomic
def remove() -> int:
    """Delete the examples and all that hangs on them; answers how many there were."""
    keys = list(Stream.objects.filter(issuer=ISSUER).order_by("-pk").values_list("pk", flat=True))
    for relation in Stream._meta.related_objects:
        if relation.related_model is not Stream:
            relation.related_model._default_manager.filter(**{f"{relation.field.name}__in": keys}).delete()
    Stream.objects.filter(pk__in=keys).delete()
    return len(keys)


def _add(example: Example, random: Random) -> None:
    message, template = random.choice(tuple(QUESTIONS.items()))
    stream = Stream.objects.create(
        issuer=ISSUER,
        user_id=random.choice(USERS),
        stream_id=f"example-{example.number:03}",
        fingerprint="example",
        model=example.model,
        provider="example",
        message=f"Example: {message}",
        template=template,
        status=Status.STREAMING,
        created_at=example.started_at,
        dispatched_at=example.started_at,
    )
    ledger.open_record(stream, count_tokens(message), example.prices, 0).save(force_insert=True)
    state = SSEStreamState(stream.stream_id, example.prices)
    first_ms = last_ms = round(random.lognormvariate(6.2, 0.5))
    for _ in range(random.randint(40, 240) if example.ending.error_type is None else random.randint(3, 30)):
        state.add_chunk(f"{random.choice(WORDS)} ", last_ms)
        last_ms += 3000 if random.random() < 0.005 else random.randint(10, 60)
    reported = example.ending.finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
    usage = Usage(count_tokens(message), state.completion_tokens)
    settlement = Settlement(example.ending, usage, reported, example.prices, last_ms, first_ms)
    state.add(example.ending.event_type, settlement.data, last_ms)
    StreamEvent.objects.bulk_create(
        StreamEvent(stream=stream, event_id=each.event_id, type=each.type, data=each.data, elapsed_ms=each.elapsed_ms)
        for each in state.get_chunks_after(-1)
    )
    StreamHead.objects.create(stream=stream, next_event_id=state.event_id + 1, closed=True)
    ledger.settle(stream.pk, settlement)
    ended_at = example.started_at + timedelta(milliseconds=last_ms)
    Stream.objects.filter(pk=stream.pk).update(finished_at=ended_at, resumes=random.choice((0, 0, 0, 1, 2)))
    CostRecord.objects.filter(pk=stream.pk).update(settled_at=ended_at)
