"""What every process asks of the database all the time must not grow with all that was ever streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from streaming import cancels, sweeper
from tests.conformance.conftest import connected_to


@pytest.fixture
def database(sqlite_url: str, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), connected_to(sqlite_url):
        yield


@pytest.mark.parametrize("ask", [lambda: sweeper.find_open(1), lambda: cancels.find_requested(1)])
def test_the_open_streams_are_found_by_the_index_of_the_open_ones(database: None, ask: Callable[[], list[Any]]) -> None:
    with CaptureQueriesContext(connection) as asked:
        ask()
    plans = []
    with connection.cursor() as cursor:
        for query in asked.captured_queries:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plans += [line[3] for line in cursor.fetchall() if "streamhead" in line[3]]
    assert plans
    assert all("USING INDEX head_open" in plan for plan in plans), plans
