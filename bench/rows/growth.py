"""Cost as work grows: live streams, the length of a log, and stored streams."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from bench.load import get
from bench.results import Row
from bench.service import SEALED_AT_ONCE, UNBOUNDED_CONNECTIONS, USER, Service
from bench.setting import Setting
from bench.upstream import MODEL, prompt

TITLE = "cost as work grows"
LIVE = (10, 100, 1_000)
EVENTS_A_SECOND = 2_000
"""Of all live streams together, however many they are."""
SECONDS = 3.0
LENGTHS = (1_000, 10_000, 100_000)
NEW = 10
STORED, OF_AN_OWNER = 1_000_000, 1_000
REQUESTS = 30
PER_EVENT, RESUME = "processor time an event, µs", f"resume, {NEW} new events, ms"
LIST, SNAPSHOT = "list of 50, ms", "snapshot, ms"


def measure(setting: Setting, row: Row) -> None:
    """Three questions."""
    _live_streams(setting, row)
    _log_length(setting, row)
    _stored_streams(setting, row)


def judge(row: Row) -> None:
    """The targets."""
    ends = [(f"{count:,} live streams", PER_EVENT) for count in (LIVE[-1], LIVE[0])]
    row.judge_ratio("an event of 1,000 live streams costs ≤ 1.1 × one of 10", *ends, at_most=1.1)
    for kind in ("live", "sealed"):
        ends = [(f"{kind} log of {length:,} events", RESUME) for length in (LENGTHS[-1], LENGTHS[0])]
        row.judge_ratio(f"{kind}: resume after 100 k events ≤ 1.5 × after 1 k", *ends, at_most=1.5)
    row.judge("list ≤ 20 ms", row.values(_stored(STORED), LIST), at_most=20)
    row.judge("snapshot ≤ 20 ms", row.values(_stored(STORED), SNAPSHOT), at_most=20)


def _live_streams(setting: Setting, row: Row) -> None:
    upstream = setting.upstream()
    for _ in range(setting.rounds):
        for count in LIVE[:1] if setting.quick else LIVE:
            service = setting.service(upstream=upstream, **UNBOUNDED_CONNECTIONS)
            every_us = 1_000_000 * count // EVENTS_A_SECOND
            texts = [prompt(chunks=1_000_000, every_us=every_us, start=number) for number in range(count)]
            requests = [service.read_request(service.begin(text, model=MODEL)) for text in texts]
            seconds = 0.5 if setting.quick else SECONDS
            seen = setting.load.window(service, requests, seconds=seconds, skip=1)
            row.add(f"{count:,} live streams", PER_EVENT, 1e6 * seen.server_cpu_s / max(seen.events, 1))
            service.stop()


def _log_length(setting: Setting, row: Row) -> None:
    service = setting.service(upstream=setting.upstream(), **UNBOUNDED_CONNECTIONS, **SEALED_AT_ONCE)
    requests = {}
    for length in LENGTHS[:1] if setting.quick else LENGTHS:
        live = service.begin(prompt(chunks=length, hold_ms=3_600_000), model=MODEL)
        service.wait_for_event(live, length - 1)
        requests[f"live log of {length:,} events"] = service.read_request(live, length - 1 - NEW)
        closed = service.begin(prompt(chunks=length), model=MODEL)
        service.wait_until_closed(closed)
        requests[f"sealed log of {length:,} events"] = service.read_request(closed, length - NEW)
    service.wait_until_sealed()
    for _ in range(setting.rounds):
        for name, request in requests.items():
            seen = setting.load.requests(service, [request] * REQUESTS, at_once=1, events=NEW).complete()
            assert seen.end is not None
            row.add(name, RESUME, seen.end.p50)


def _stored_streams(setting: Setting, row: Row) -> None:
    sizes = (1_000,) if setting.quick else (1_000, STORED)
    services = {count: _with_stored(setting, count) for count in sizes}
    for _ in range(setting.rounds):
        for count, service in services.items():
            wanted = {
                LIST: get("/api/v1/streams", {"user_id": "user0", "limit": 50}),
                SNAPSHOT: get("/api/v1/streams/stored1", {"user_id": "user0"}),
            }
            for metric, request in wanted.items():
                seen = setting.load.requests(service, [request] * REQUESTS, at_once=1).complete()
                assert seen.end is not None
                row.add(_stored(count), metric, seen.end.p50)


def _stored(count: int) -> str:
    return f"{count:,} stored streams"


def _with_stored(setting: Setting, count: int) -> Service:
    """A service whose database has one real answer, and ``count`` copies of it, ``OF_AN_OWNER`` each."""
    made = setting.service(**SEALED_AT_ONCE)
    original = made.begin("/count 100 0")
    made.wait_until_closed(original)
    made.wait_until_sealed()
    made.stop()
    with closing(sqlite3.connect(made.database)) as connection:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000")
        _multiply(connection, count)
        connection.execute("PRAGMA journal_mode = WAL")
    return setting.service(database=Path(made.database))


def _multiply(connection: sqlite3.Connection, count: int) -> None:
    """Copy the one stream, and every row that belongs to it alone."""
    (key,) = connection.execute("SELECT id FROM streaming_stream WHERE user_id = ?", [USER]).fetchone()
    of_stream = {
        "id": f"{key} + i",
        "user_id": f"'user' || ((i - 1) / {OF_AN_OWNER})",
        "stream_id": "'stored' || i",
        "created_at": "datetime(created_at, '-' || (i / 1000) || ' minutes')",
    }
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    _copy(connection, "streaming_stream", f"id = {key}", of_stream, count)
    for table in tables:
        columns = {column[1] for column in connection.execute(f"PRAGMA table_info({table})")}
        if table == "streaming_stream" or "stream_id" not in columns:
            continue
        if connection.execute(f"SELECT count(*) FROM {table} WHERE stream_id = {key}").fetchone() == (1,):
            own = {"stream_id": f"{key} + i", **({"id": f"{key} + i"} if "id" in columns else {})}
            _copy(connection, table, f"stream_id = {key}", own, count)
    connection.execute("ANALYZE")
    connection.commit()


def _copy(connection: sqlite3.Connection, table: str, row: str, changes: Mapping[str, str], count: int) -> None:
    names = [column[1] for column in connection.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changes.get(name, name) for name in names)
    connection.execute(
        f"WITH RECURSIVE copies(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM copies WHERE i < {count})"
        f" INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table}, copies WHERE {row}"
    )
