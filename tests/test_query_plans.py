"""What every process asks of the database all the time must not grow with all that was ever streamed, nor a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from streaming import cancels, claims, conversations, queued, retention, sealing, snapshots, sweeper
from streaming.claims import Owner
from tests.conformance.conftest import connected_to

OWNER = Owner("open", "u1")
Ask = Callable[[], Any]


@pytest.fixture
def database(database_url: str, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), connected_to(database_url):
        yield


def _plans(ask: Ask) -> list[str]:
    """The steps of the plans of all queries that ``ask`` makes."""
    with CaptureQueriesContext(connection) as asked:
        ask()
    plans = []
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        if not is_sqlite:
            # Of tables as small as these a scan would be the better plan.
            cursor.execute("SET enable_seqscan = off")
        for query in asked.captured_queries:
            cursor.execute(f"EXPLAIN {'QUERY PLAN' if is_sqlite else ''} {query['sql']}")
            plans += [str(line[3] if is_sqlite else line[0]) for line in cursor.fetchall()]
    return plans


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda: sweeper.find_open(1), "head_open"),
        (lambda: cancels.find_requested(1), "head_open"),
        (queued.find_queued, "stream_by_status"),
        (conversations.find_unfinished, "conversation_to_erase"),
        (lambda: sealing.find_sealable(timezone.now()), "stream_to_"),
        (lambda: retention.take(retention.prunable(timezone.now()).order_by("finished_at", "pk")), "stream_to_prune"),
        (lambda: snapshots.snapshots(OWNER, limit=20), "stream_by_owner"),
        (lambda: snapshots.snapshots(OWNER, limit=20, conversation_id="c1"), "stream_by_conversation"),
        (lambda: conversations.page(OWNER, limit=20), "conversation_by_owner"),
        (lambda: claims.find(OWNER, "s1"), "issuer"),
    ],
)
def test_each_question_has_its_index(database: None, ask: Ask, index: str) -> None:
    plans = _plans(ask)
    assert any(index in step for step in plans), plans
    scans = [step for step in plans if step.strip(" ->").startswith(("SCAN ", "Seq Scan")) and "INDEX" not in step]
    assert not scans, plans


def test_sqlite_finds_what_is_to_seal_among_what_is_to_seal(sqlite_url: str, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connected_to(sqlite_url):
        assert any("stream_to_seal" in step for step in _plans(lambda: sealing.find_sealable(timezone.now())))


@pytest.mark.parametrize("ask", [lambda: sweeper.find_open(1), lambda: cancels.find_requested(1)])
def test_sqlite_finds_the_open_streams_by_the_index_of_the_open_ones(
    sqlite_url: str, django_db_blocker: Any, ask: Ask
) -> None:
    with django_db_blocker.unblock(), connected_to(sqlite_url):
        heads = [step for step in _plans(ask) if "streamhead" in step]
        assert heads
        assert all("USING INDEX head_open" in step for step in heads), heads


LARGE = ("streaming_stream", "streaming_costrecord", "streaming_streamhead", "streaming_streamevent")
STREAMS = "/admin/streaming/stream/"


@pytest.mark.parametrize(
    "path",
    [
        STREAMS,
        f"{STREAMS}?status__exact=error",
        f"{STREAMS}?provider=demo&error_type=provider_error",
        f"{STREAMS}?model=demo&started=2026-11",
        f"{STREAMS}?template=summary@1",
        f"{STREAMS}?q=stream_7",
        f"{STREAMS}live/",
        f"{STREAMS}costs/?days=1",
        "/admin/streaming/costrecord/?state__exact=estimated",
    ],
)
def test_no_page_of_the_admin_reads_a_whole_table(database: None, path: str) -> None:
    operator = get_user_model()._default_manager.create_superuser("operator", password="secret")
    client = Client(HTTP_HOST="localhost")
    client.force_login(operator)
    client.get(path)
    statuses = []
    plans = _plans(lambda: statuses.append(client.get(path).status_code))
    assert statuses == [200]
    scans = [step for step in plans if _is_scan(step) and any(f"{table} " in f"{step} " for table in LARGE)]
    assert scans == []


def _is_scan(step: str) -> bool:
    return step.strip(" ->").startswith(("SCAN ", "Seq Scan")) and "INDEX" not in step
