"""The history checker itself: a healthy history has no breach, and each change to it that breaks a promise has one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.history import Call, Cost, Death, Event, History, Reading, Request, Stored
from tests.promises import breaches

PRICES = (3, 5, 1, 4)
COST = Cost("provider", prompt=100, completion=2, cached=60, cache_write=30, prices=PRICES, total=220, settled=True)
DONE = {"total_tokens": 102, "total_cost": 220e-12, "prompt_tokens": 100, "completion_tokens": 2}
CHUNK = json.dumps({"content": "a", "tokens": 1})
EVENTS = (
    Event(0, "message_chunk", CHUNK),
    Event(1, "message_chunk", CHUNK),
    Event(2, "done", json.dumps({**DONE, "cost_state": "provider", "finish_reason": "stop"})),
)
STORED = Stored("done", "stop", end=3, closed=True, finished_at=20.0, events=EVENTS, costs=(COST,))
LIVE = Stored("streaming", "", 1, False, None, EVENTS[:1], (replace(COST, state="pending", total=None, settled=False),))
FRAMES = tuple(event.frame for event in EVENTS)
HEALTHY = History(
    database={"s": STORED},
    readings=[Reading("s", -1, FRAMES, "clean"), Reading("s", 0, FRAMES[1:], "clean"), Reading("s", -1, (), "left")],
    calls=[Call("s", 503, 1.0, 1.1), Call("s", 200, 2.0, 19.0)],
    requests=[
        Request("s", "start", 201),
        Request("s", "look", 404, who="u2", owned=False, route="GET", told=b"no"),
        Request("x", "look", 404, who="u2", owned=None, route="GET", told=b"no"),
    ],
    samples=[{}, {"s": LIVE}, {"s": STORED}],
)


def stored(**changes: object) -> History:
    """The healthy history, with another end of its stream."""
    return replace(HEALTHY, database={"s": replace(STORED, **changes)}, samples=[])  # type: ignore[arg-type]


def cost(**changes: object) -> History:
    """The healthy history, with another row in its ledger."""
    return stored(costs=(replace(COST, **changes),))  # type: ignore[arg-type]


def reading(*readings: Reading) -> History:
    return replace(HEALTHY, readings=readings)


def called(*statuses: int) -> History:
    """The upstream was asked as often, and answered so."""
    calls = [Call("s", status, float(number), number + 0.5) for number, status in enumerate(statuses)]
    return replace(HEALTHY, calls=calls)


def cancelled(status: int, ended: float | None) -> History:
    """It was cancelled at 10, and its call ended then."""
    request = Request("s", "cancel", status, at=10.0)
    return replace(HEALTHY, requests=[*HEALTHY.requests, request], calls=[Call("s", 200, 2.0, ended)])


def told(answer: Request) -> History:
    return replace(HEALTHY, requests=[HEALTHY.requests[0], answer, HEALTHY.requests[2]])


def answered(text: str, usage: tuple[int, int] = (100, 2), **changes: object) -> History:
    """The upstream said this, and the stream ended otherwise than in the healthy history."""
    call = Call("s", 200, 2.0, 19.0, text, usage)
    return replace(stored(**changes), calls=[call], readings=[])


def estimated(tokens: int) -> History:
    """It was interrupted after two tokens of the three that the upstream said, and its cost is that of so many."""
    total = 210 + 5 * tokens
    row = replace(COST, state="estimated", completion=tokens, total=total)
    told = {
        "prompt_tokens": 100,
        "completion_tokens": tokens,
        "total_tokens": 100 + tokens,
        "total_cost": total / 10**12,
    }
    end = {**told, "cost_state": "estimated", "error_type": "interrupted", "retryable": True}
    events = (*EVENTS[:2], Event(2, "error", json.dumps(end)))
    return answered("aaa", status="error", finish_reason="", costs=(row,), events=events)


ERROR = json.dumps({**DONE, "cost_state": "provider", "error_type": "interrupted", "retryable": True})

INTERRUPTED = stored(events=(*EVENTS[:2], Event(2, "error", ERROR)))

BROKEN: list[tuple[int, str, Callable[[], History]]] = [
    (1, "an event is not in the log", lambda: stored(events=EVENTS[:2], end=2, closed=False)),
    (2, "one is left out", lambda: reading(Reading("s", -1, (FRAMES[0], FRAMES[2]), "clean"))),
    (2, "one comes twice", lambda: reading(Reading("s", -1, (FRAMES[0], *FRAMES), "clean"))),
    (2, "a byte differs", lambda: reading(Reading("s", -1, (FRAMES[0].replace(b"a", b"b"), *FRAMES[1:]), "clean"))),
    (2, "the log is changed", lambda: replace(HEALTHY, samples=[{"s": replace(LIVE, events=EVENTS[1:2])}])),
    (2, "other words than the upstream's", lambda: answered("ab")),
    (2, "less than the upstream said", lambda: answered("aaa")),
    (2, "more than it said before it was interrupted", lambda: answered("a", status="error", finish_reason="")),
    (3, "asked twice", lambda: called(200, 200)),
    (3, "asked again after a 500", lambda: called(500, 200)),
    (3, "asked four times", lambda: called(503, 503, 503, 200)),
    (4, "no end", lambda: stored(events=EVENTS[:2], end=2, closed=False)),
    (4, "a reader is let go", lambda: reading(Reading("s", -1, FRAMES[:2], "clean"))),
    (4, "closed too late", lambda: replace(HEALTHY, deaths=[Death(1.0, frozenset("s"))])),
    (4, "not as interrupted", lambda: replace(HEALTHY, deaths=[Death(10.0, frozenset("s"))])),
    (5, "two terminal events", lambda: stored(events=(*EVENTS, Event(3, "error", ERROR)), end=4)),
    (5, "the log goes on", lambda: stored(events=(*EVENTS, Event(3, "heartbeat", "{}")), end=4)),
    (5, "the head is open", lambda: stored(closed=False)),
    (5, "the head is elsewhere", lambda: stored(end=7)),
    (5, "a reader gets more", lambda: reading(Reading("s", -1, (*FRAMES, FRAMES[0]), "clean"))),
    (5, "changed after its end", lambda: replace(stored(status="error"), samples=[{"s": STORED}])),
    (6, "cancelled by nobody", lambda: stored(status="cancelled", finish_reason="cancelled")),
    (6, "interrupted when a reader left", lambda: INTERRUPTED),
    (4, "interrupted by nobody", lambda: replace(INTERRUPTED, harmed=frozenset())),
    (6, "a cancel that is refused", lambda: cancelled(409, 10.5)),
    (6, "a call that goes on", lambda: cancelled(200, 13.0)),
    (6, "a call that never ends", lambda: cancelled(200, None)),
    (7, "no row", lambda: stored(costs=())),
    (7, "two rows", lambda: stored(costs=(COST, COST))),
    (7, "closed and not settled", lambda: cost(state="pending", settled=False, total=None)),
    (7, "settled and not closed", lambda: replace(HEALTHY, samples=[{"s": replace(LIVE, costs=(COST,))}])),
    (7, "a pico-dollar too much", lambda: cost(total=221)),
    (7, "cached tokens priced in full", lambda: cost(total=310)),
    (7, "other counts than the upstream's", lambda: answered("aa", (100, 3))),
    (7, "estimated, though the upstream told", lambda: answered("aa", costs=(replace(COST, state="estimated"),))),
    (7, "more estimated than was delivered", lambda: estimated(3)),
    (7, "more estimated than the upstream said", lambda: replace(estimated(4), harmed=frozenset("s"))),
    (7, "less estimated than was delivered", lambda: replace(estimated(1), harmed=frozenset("s"))),
    (7, "other counts than told", lambda: cost(prompt=101, total=223)),
    (7, "another state than told", lambda: cost(state="estimated")),
    (8, "a stranger is told 403", lambda: told(replace(HEALTHY.requests[1], status=403))),
    (8, "a stranger is told more", lambda: told(replace(HEALTHY.requests[1], told=b"no!"))),
    (9, "started by nobody", lambda: replace(HEALTHY, requests=[Request("s", "resume", 200)])),
    (9, "asked for by nobody", lambda: replace(HEALTHY, calls=[Call("y", 200, 1.0, 2.0)])),
]  # fmt: skip


def test_a_healthy_history_has_no_breach() -> None:
    assert breaches(HEALTHY) == []
    assert breaches(answered("aa")) == []
    assert breaches(estimated(2)) == []
    assert breaches(replace(estimated(3), harmed=frozenset("s"))) == []


@pytest.mark.parametrize(
    ("promise", "how", "broken"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_broken_promise_is_found(promise: int, how: str, broken: Callable[[], History]) -> None:
    assert promise in {each.promise for each in breaches(broken())}, how
