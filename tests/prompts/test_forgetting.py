"""What a triage that is under way writes down after its stream was emptied: nothing. On each database."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from magic import examples, triage
from magic.models import TriageResult
from streaming.models import Stream
from streaming.retention import wipe
from tests.conformance.conftest import connected_to


@pytest.fixture
def streams(database_url: str, django_db_blocker: Any) -> Iterator[list[Stream]]:
    """Two closed streams."""
    with django_db_blocker.unblock(), connected_to(database_url):
        examples.add(examples.examples(timezone.now(), Random(1))[:2], Random(1), lambda done: None)
        yield list(Stream.objects.order_by("pk"))


def _row(stream: Stream) -> TriageResult:
    return TriageResult(stream=stream, fingerprint="f", content="secret", created_at=timezone.now())


def test_a_verdict_that_comes_late_is_not_kept(streams: list[Stream]) -> None:
    first, second = streams
    with transaction.atomic():
        triage.begin_all([_row(first)])
    TriageResult.objects.filter(pk=first.pk).update(repair=second)
    wipe([second.pk])
    triage.settle_all([triage.Settlement(first.pk, {"state": "done", "summary": "secret"})])
    row = TriageResult.objects.get()
    assert (row.state, row.content, row.summary) == ("forgotten", "", "")


def test_a_message_that_comes_late_is_not_kept(streams: list[Stream]) -> None:
    wipe([streams[0].pk])
    with transaction.atomic():
        triage.begin_all([_row(each) for each in streams])
    assert TriageResult.objects.get().stream == streams[1]
