"""The database as it is, past the code under test: heads, ledger, connections, and damage done on purpose."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from tests.databases import POSTGRES_URL


@dataclass(frozen=True)
class Cost:
    """A row of the ledger."""

    state: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    input_price: int | None
    output_price: int | None
    total_pico_usd: int | None
    settled: bool

    @property
    def price_of_counts(self) -> int:
        """What the counts cost at the unit prices, where nothing was cached."""
        assert self.input_price is not None and self.output_price is not None
        return self.prompt_tokens * self.input_price + self.completion_tokens * self.output_price


class Records:
    """Direct access to the database at a URL; each call is a transaction of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite:")
        self.path = Path(url.removeprefix("sqlite:///"))
        self.name = urlsplit(url).path.lstrip("/")

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """The rows of a query, or none of a statement; ``?`` stands for a value."""
        if self.is_sqlite:
            with self.sqlite() as connection:
                return [dict(row) for row in connection.execute(statement, values)]
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as session:
            cursor = session.execute(statement.replace("?", "%s").encode(), values)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def sqlite(self) -> Iterator[sqlite3.Connection]:
        """A connection to the SQLite file, in autocommit mode."""
        connection = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()

    def cost(self, stream_id: str) -> Cost:
        """The ledger's one row of a stream."""
        [row] = self.rows(
            "SELECT c.* FROM streaming_costrecord c JOIN streaming_stream s ON s.id = c.stream_id"
            " WHERE s.stream_id = ?",
            stream_id,
        )
        names = (name for name in Cost.__dataclass_fields__ if name != "settled")
        return Cost(**{name: row[name] for name in names}, settled=row["settled_at"] is not None)

    def head(self, stream_id: str) -> dict[str, Any]:
        """A stream's head."""
        [row] = self.rows(
            "SELECT h.* FROM streaming_streamhead h JOIN streaming_stream s ON s.id = h.stream_id"
            " WHERE s.stream_id = ?",
            stream_id,
        )
        return row

    def count_terminals(self, stream_id: str) -> int:
        """How many terminal events lie in the rows of a stream that is not sealed."""
        [row] = self.rows(
            "SELECT count(*) AS n FROM streaming_streamevent e JOIN streaming_stream s ON s.id = e.stream_id"
            " WHERE s.stream_id = ? AND e.type >= 3",
            stream_id,
        )
        return int(row["n"])

    def fall_back(self, stream_id: str, count: int) -> None:
        """Forget all but the first ``count`` events, as a restored backup or a lagging replica does."""
        key = self.head(stream_id)["stream_id"]
        steps = (
            f"UPDATE streaming_streamhead SET next_event_id = {count} WHERE stream_id = {key}",
            f"DELETE FROM streaming_streamevent WHERE stream_id = {key} AND event_id >= {count}",
        )
        if self.is_sqlite:
            with self.sqlite() as connection:
                for step in ("BEGIN IMMEDIATE", *steps, "COMMIT"):
                    connection.execute(step)
        else:
            with psycopg.connect(self.url) as session:
                for step in steps:
                    session.execute(step.encode())

    def is_writable(self) -> bool:
        """Whether nobody holds SQLite's write lock."""
        try:
            with self.sqlite() as connection:
                connection.execute("PRAGMA busy_timeout = 0")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        return True

    def connections(self) -> int:
        """How many connections the PostgreSQL database has."""
        [row] = _administer("SELECT count(*) AS n FROM pg_stat_activity WHERE datname = %s", self.name)
        return int(row["n"])

    def sessions(self, condition: str) -> list[int]:
        """The backends of the PostgreSQL database that meet a condition on ``pg_stat_activity``."""
        rows = _administer(f"SELECT pid FROM pg_stat_activity WHERE datname = %s AND {condition}", self.name)
        return [row["pid"] for row in rows]

    def terminate(self, *pids: int) -> None:
        """End backends of PostgreSQL; those of the database where none is named."""
        for pid in pids or self.sessions("true"):
            _administer("SELECT pg_terminate_backend(%s)", pid)

    def allow_connections(self, allowed: bool) -> None:
        """Open or close the PostgreSQL database for new connections."""
        _administer(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS {str(allowed).lower()}')


def _administer(statement: str, *values: object) -> list[dict[str, Any]]:
    with psycopg.connect(POSTGRES_URL, autocommit=True, row_factory=dict_row) as session:
        cursor = session.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []
