"""A queued stream is taken once, whoever wants it, for whatever purpose, and however often the take is repeated."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import override_settings

from streaming import cancels, claims, lease
from streaming.claims import Claim, Found, Owner
from streaming.endings import INTERRUPTED
from streaming.errors import Unavailable
from streaming.eventlog.database import Closing, close_all
from streaming.models import Status, Stream, StreamHead
from streaming.params import Ask
from streaming.queued import Take, Taken, find_order, find_queued, parse_token, take_all
from streaming.sweeper import find_open
from tests.conformance.conftest import PRICES, connected_to

ASK = Ask(asked={"message": "hello", "system": "Be brief.", "temperature": 0.5, "max_tokens": 9})


@pytest.fixture
def database(database_url: str, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """A new database of each kind, for this process."""
    with django_db_blocker.unblock(), connected_to(database_url):  # type: ignore[attr-defined]
        yield


def queue(stream_id: str = "s1") -> Found | Exception:
    """Start a stream that is nobody's yet."""
    claim = Claim(Owner("tests", stream_id), stream_id, ASK, "demo", "demo", PRICES, prompt_tokens=3, process=None)
    with transaction.atomic():
        [found] = claims.claim_all([claim])
    return found


def queued(stream_id: str = "s1") -> int:
    found = queue(stream_id)
    assert isinstance(found, Found) and found.created
    return found.key


def take(*takes: Take) -> list[Taken]:
    with transaction.atomic():
        return take_all(list(takes))


def test_one_of_two_workers_has_it_and_the_same_take_again_is_a_success(database: None) -> None:
    first, second = lease.register(["worker", "worker"])
    key = queued()
    [waiting] = find_queued()
    assert parse_token(waiting.token) == (key, waiting.claim)
    mine, other = Take(key, first.pk, waiting.claim), Take(key, second.pk, waiting.claim)
    assert take(mine, other) == [Taken.DISPATCHED, Taken.MISSED]
    assert take(other, mine) == [Taken.MISSED, Taken.DISPATCHED]
    assert take(Take(key, first.pk, waiting.claim)) == [Taken.MISSED], "a second entry of what it has already"
    assert take(Take(key, first.pk, dispatch=False), Take(key, second.pk, dispatch=False)) == [Taken.MISSED] * 2
    stream, head = Stream.objects.get(), StreamHead.objects.get()
    assert (stream.status, stream.dispatched_at) == (Status.STREAMING, mine.at)
    assert (head.attempt, head.process_id) == (1, first.pk)
    assert find_queued() == []


def test_who_closes_takes_it_too_and_it_is_never_dispatched(database: None) -> None:
    closer, worker = lease.register(["web", "worker"])
    key = queued()
    [waiting] = find_queued()
    closing = Take(key, closer.pk, dispatch=False)
    assert take(closing, Take(key, worker.pk, waiting.claim)) == [Taken.HELD, Taken.MISSED]
    assert take(closing) == [Taken.HELD]
    assert take(Take(key, closer.pk, waiting.claim)) == [Taken.MISSED], "a worker in the same process"
    assert Stream.objects.get().dispatched_at is None
    assert find_order(key, waiting.claim) is None
    with transaction.atomic():
        [closed] = close_all([Closing(key, INTERRUPTED, 1)])
    assert closed is not None and '"total_cost":0.0,' in closed.event.data


def test_one_that_is_to_be_cancelled_is_taken_to_be_closed(database: None) -> None:
    [worker] = lease.register(["worker"])
    key = queued()
    [waiting] = find_queued()
    cancels.request_all([key])
    mine = Take(key, worker.pk, waiting.claim)
    assert take(mine) == [Taken.HELD]
    assert take(mine) == [Taken.HELD]
    assert Stream.objects.get().dispatched_at is None


def test_what_another_database_handed_over_is_left_alone(database: None) -> None:
    [worker] = lease.register(["worker"])
    key, stranger = queued(), uuid.uuid4()
    assert find_order(key, stranger) is None
    assert take(Take(key, worker.pk, stranger)) == [Taken.MISSED]
    assert len(find_queued()) == 1


def test_who_waits_for_a_worker_is_no_orphan(database: None) -> None:
    [process] = lease.register(["web"])
    key = queued()
    assert find_open(process.pk) == []
    with transaction.atomic():
        assert close_all([Closing(key, INTERRUPTED, None)]) == [None]


def test_a_worker_finds_all_that_was_asked_for(database: None) -> None:
    key = queued()
    [waiting] = find_queued()
    order = find_order(key, waiting.claim)
    assert order is not None
    assert (order.message, order.system, order.temperature, order.max_tokens) == ("hello", "Be brief.", 0.5, 9)
    assert (order.prices, order.prompt_tokens, order.model, order.parent) == (PRICES, 3, "demo", None)


def test_a_full_queue_takes_no_more_and_the_id_stays_free(database: None) -> None:
    with override_settings(STREAM_MAX_QUEUED=2):
        queued("s1")
        queued("s2")
        refused = queue("s3")
        assert isinstance(refused, Unavailable) and refused.retry_after
        assert not Stream.objects.filter(stream_id="s3").exists()
        again = queue("s2")
        assert isinstance(again, Found) and not again.created
