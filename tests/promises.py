"""The history checker: a recorded history held against the nine promises of the contract, §2. Pure.

``breaches(history)`` names what is broken: the promise by its number, the stream, and how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tests.history import TERMINAL, Call, Cost, Database, Event, History, Stored, is_terminal

PICO = 10**12
CLOSED_WITHIN_SECONDS = 15
CANCELLED_WITHIN_SECONDS = 2
MOST_ATTEMPTS = 3
DID_NO_WORK = (429, 503, 529)


@dataclass(frozen=True, order=True)
class Breach:
    """A promise that was not kept."""

    promise: int
    stream: str
    what: str = field(compare=False)


Breaches = Iterator[tuple[str, str]]


def breaches(history: History) -> list[Breach]:
    """Every promise that was not kept, in the contract's order."""
    return [Breach(number, *found) for number, check in PROMISES.items() for found in check(history)]


def check(history: History) -> None:
    """Raises AssertionError where a promise was not kept."""
    broken = breaches(history)
    assert not broken, "\n".join(f"promise {each.promise}, {each.stream}: {each.what}" for each in broken[:20])


def durable_before_delivered(history: History) -> Breaches:
    for reading in history.readings:
        known = {event.event_id for event in _events(history, reading.stream)}
        if lost := [event_id for event_id in reading.ids if event_id not in known]:
            yield reading.stream, f"events {lost[:5]} were delivered and are not in the log"


def one_log_one_truth(history: History) -> Breaches:
    for reading in history.readings:
        if reading.ids != list(range(reading.after + 1, reading.after + 1 + len(reading.frames))):
            yield reading.stream, f"after {reading.after} came {reading.ids[:5]}…, not each event once and in order"
        stored = {event.event_id: event.frame for event in _events(history, reading.stream)}
        for event_id, frame in zip(reading.ids, reading.frames, strict=True):
            if stored.get(event_id, frame) != frame:
                yield reading.stream, f"event {event_id} came with other bytes than the log's"
    for stream, call in _answering(history).items():
        text, whole = history.database[stream].text, history.database[stream].finish_reason == "stop"
        if call.text is not None and not (text == call.text if whole else call.text.startswith(text)):
            yield stream, f"is not what the upstream said, or not {'all' if whole else 'the beginning'} of it"
    for earlier, later in _successive(history):
        for stream, before in earlier.items():
            if stream in later and later[stream].events[: len(before.events)] != before.events:
                yield stream, "the log was changed"


def at_most_one_call(history: History) -> Breaches:
    for stream, calls in _by_stream(history.calls).items():
        did_work = [call.status not in DID_NO_WORK for call in calls]
        if stream not in history.database:
            yield stream, "the upstream was asked for a stream that is not on record"
        if any(did_work[:-1]):
            yield stream, f"asked again after a call that did work: {[call.status for call in calls]}"
        if len(calls) > MOST_ATTEMPTS:
            yield stream, f"asked {len(calls)} times"


def every_reader_reaches_the_end(history: History) -> Breaches:
    for stream, stored in history.database.items():
        if not stored.events or stored.events[-1].type not in TERMINAL:
            yield stream, "never ended"
    for reading in history.readings:
        if reading.ended == "clean" and not reading.closes:
            yield reading.stream, f"a reader was let go after {reading.ids[-1:]} without a terminal event"
    cancelled = {request.stream for request in history.requests if request.verb == "cancel"}
    for death in history.deaths:
        for stream in death.streams & history.database.keys():
            stored = history.database[stream]
            if stored.finished_at is None or stored.finished_at - death.at > CLOSED_WITHIN_SECONDS:
                yield stream, f"not closed within {CLOSED_WITHIN_SECONDS} s of its producer's death"
            elif stream not in cancelled and not _is_interrupted(stored):
                yield stream, "its producer died, and it did not end as interrupted and retryable"
    if history.harmed is not None:
        harmed = history.harmed | _died(history)
        for stream, stored in history.database.items():
            if _is_interrupted(stored) and stream not in harmed:
                yield stream, "was interrupted, and nothing had befallen its producer"


def nothing_follows_a_terminal_event(history: History) -> Breaches:
    for stream, stored in history.database.items():
        terminals = [event.event_id for event in stored.events if event.type in TERMINAL]
        if len(terminals) > 1:
            yield stream, f"has terminal events {terminals}"
        if terminals and stored.events[-1].event_id != terminals[0]:
            yield stream, f"goes on after its terminal event {terminals[0]}"
        if stored.closed != bool(terminals) or stored.end != len(stored.events):
            yield stream, f"its head says {stored.end}, closed {stored.closed}; the log has {len(stored.events)} events"
    for reading in history.readings:
        if any(map(is_terminal, reading.frames[:-1])):
            yield reading.stream, "a reader got more after a terminal event"
    for earlier, later in _successive(history):
        for stream, before in earlier.items():
            if before.closed and stream in later and later[stream] != before:
                yield stream, "was changed after it was closed"


def disconnect_is_not_cancel(history: History) -> Breaches:
    cancels = [request for request in history.requests if request.verb == "cancel" and request.owned]
    asked = {request.stream for request in cancels}
    left = {reading.stream for reading in history.readings if reading.ended == "left"}
    died = _died(history) | (history.harmed or frozenset())
    for stream, stored in history.database.items():
        if stored.status == "cancelled" and stream not in asked:
            yield stream, "is cancelled, and nobody asked for that"
        elif stream in left - asked - died and _is_interrupted(stored):
            yield stream, "was interrupted when a reader left"
    for request in (request for request in cancels if request.calm):
        if request.status not in {200, 202}:
            yield request.stream, f"a cancel answered {request.status}"
        calls = [call for call in history.calls if call.stream == request.stream]
        if any(call.ended is None or call.ended - request.at > CANCELLED_WITHIN_SECONDS for call in calls):
            yield request.stream, f"the upstream call went on for more than {CANCELLED_WITHIN_SECONDS} s after a cancel"


def stream_and_cost_are_one_record(history: History) -> Breaches:
    answering = _answering(history)
    for database in (*history.samples, history.database):
        for stream, stored in database.items():
            if len(stored.costs) != 1:
                yield stream, f"has {len(stored.costs)} rows in the ledger"
                continue
            [cost] = stored.costs
            if {stored.closed, cost.settled, cost.state != "pending", stored.finished_at is not None} == {True, False}:
                yield stream, f"closed: {stored.closed}, but its cost is {cost.state}, settled: {cost.settled}"
            if cost.settled and cost.total != cost.price_of_counts:
                yield stream, f"costs {cost.total}, and its counts {cost.price_of_counts}"
            if cost.settled and stored.events and stored.events[-1].type in TERMINAL:
                call = answering.get(stream) if stream in (history.harmed or ()) else None
                most = 0 if call is None else len(call.text or "")  # a producer that was struck counted what got lost
                yield from ((stream, what) for what in _unlike_the_terminal_event(stored, cost, most))
    for stream, call in answering.items():
        for cost in history.database[stream].costs:
            if call.usage is None:
                continue
            if cost.state == "provider" and (cost.prompt, cost.completion) != call.usage:
                yield stream, f"the upstream told {call.usage} tokens, the ledger {(cost.prompt, cost.completion)}"
            if cost.state != "provider" and history.database[stream].finish_reason == "stop":
                yield stream, f"the upstream told its usage, and the ledger says {cost.state}"


def a_stranger_sees_nothing(history: History) -> Breaches:
    unknown = {(request.who, request.route): request for request in history.requests if request.owned is None}
    for request in history.requests:
        if request.owned is False:
            reference = unknown[request.who, request.route]
            if (request.status, request.told) != (reference.status, reference.told):
                yield request.stream, f"{request.who} was told {request.status}, of nothing {reference.status}"


def resume_never_starts(history: History) -> Breaches:
    started = {request.stream for request in history.requests if request.verb == "start"}
    for stream in sorted((history.database.keys() | {call.stream for call in history.calls}) - started):
        yield stream, "was started by a request that may not start"


PROMISES: dict[int, Callable[[History], Breaches]] = {
    1: durable_before_delivered,
    2: one_log_one_truth,
    3: at_most_one_call,
    4: every_reader_reaches_the_end,
    5: nothing_follows_a_terminal_event,
    6: disconnect_is_not_cancel,
    7: stream_and_cost_are_one_record,
    8: a_stranger_sees_nothing,
    9: resume_never_starts,
}


def _unlike_the_terminal_event(stored: Stored, cost: Cost, most: int) -> Iterator[str]:
    """``most``: so many tokens may have been counted where fewer were delivered."""
    told = stored.events[-1].values
    total = None if cost.total is None else cost.total / PICO
    counts = (cost.prompt, cost.completion, cost.prompt + cost.completion)
    if (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) != counts:
        yield f"its terminal event has other counts than the ledger's {counts}"
    if (told["total_cost"], told["cost_state"]) != (total, cost.state):
        yield f"its terminal event has another cost than the ledger's {total}, {cost.state}"
    counted = sum(event.values["tokens"] for event in stored.events if event.type == "message_chunk")
    if cost.state == "estimated" and not counted <= cost.completion <= max(counted, most):
        yield f"is estimated at {cost.completion} tokens, and {counted} were delivered"


def _events(history: History, stream: str) -> tuple[Event, ...]:
    return history.database[stream].events if stream in history.database else ()


def _successive(history: History) -> Iterable[tuple[Database, Database]]:
    return pairwise((*history.samples, history.database))


def _by_stream(calls: Iterable[Call]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {}
    for call in sorted(calls, key=lambda call: call.began):
        found.setdefault(call.stream, []).append(call)
    return found


def _answering(history: History) -> dict[str, Call]:
    """The call that answered each stream, where one did."""
    answered = (call for call in history.calls if call.status == 200 and call.stream in history.database)
    return {call.stream: call for call in answered}


def _died(history: History) -> frozenset[str]:
    return frozenset(stream for death in history.deaths for stream in death.streams)


def _is_interrupted(stored: Stored) -> bool:
    if not stored.events or stored.events[-1].type != "error":
        return False
    told = stored.events[-1].values
    return (told["error_type"], told["retryable"]) == ("interrupted", True)
