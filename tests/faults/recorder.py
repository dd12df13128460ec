"""Records a history: the tapes of a crowd, the upstream's calls, requests and their answers, the database."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from tests.faults.records import Records
from tests.faults.wire import Tape
from tests.history import Call, Cost, Database, Death, Event, History, Reading, Request, Stored
from tests.promises import breaches
from tests.servers import NO_CERTIFICATES, Server
from tests.upstream import Call as UpstreamCall
from tests.upstream import Upstream

TYPES = {1: "message_chunk", 2: "heartbeat", 3: "done", 4: "error"}
"""Of events, as stored."""

STREAMS = (
    "SELECT s.id, s.stream_id, s.status, s.finish_reason, s.finished_at, h.next_event_id, h.closed"
    " FROM streaming_stream s JOIN streaming_streamhead h ON h.stream_id = s.id"
)
EVENTS = "SELECT stream_id, event_id, type, data FROM streaming_streamevent ORDER BY stream_id, event_id"
COSTS = "SELECT * FROM streaming_costrecord"
PRICES = ("input_price", "output_price", "cached_input_price", "cache_write_price")


class Recorder:
    """``records`` and ``upstream`` are looked at when ``history`` is asked for; all else is recorded as it happens."""

    def __init__(self, records: Records, upstream: Upstream) -> None:
        self._records = records
        self._upstream = upstream
        self._requests: list[Request] = []
        self._samples: list[Database] = []
        self._deaths: list[Death] = []

    def sample(self) -> Database:
        """Look at the whole database now."""
        self._samples.append(read_database(self._records))
        return self._samples[-1]

    def started(self, *streams: str) -> None:
        """These were started, by requests that are not recorded otherwise."""
        self._requests += (Request(stream, "start", 201) for stream in streams)

    def died(self, streams: Iterable[str]) -> None:
        """The producer of these streams was killed; the database can be reached again from now on."""
        self._deaths.append(Death(time.time(), frozenset(streams)))

    def ask(
        self,
        server: Server,
        verb: str,
        method: str,
        path: str,
        values: Mapping[str, Any],
        *,
        stream: str,
        owned: bool | None = True,
    ) -> httpx.Response:
        """Send a request of ``values["user_id"]`` about a stream, with a query; record how it was answered."""
        at = time.time()
        answer = httpx.request(
            method,
            server.url + path.format(stream_id=stream),
            params=dict(values),
            headers={"Accept": "application/json", "X-Request-Id": "the-same"},
            timeout=30,
            trust_env=False,
            verify=NO_CERTIFICATES,
        )
        headers = sorted((name, value) for name, value in answer.headers.items() if name != "date")
        told = (headers, answer.content)
        who, route = str(values.get("user_id")), f"{method} {path}"
        self._requests.append(Request(stream, verb, answer.status_code, at, who, owned, route, told))
        return answer

    def history(self, tapes: Iterable[Tape]) -> History:
        """All that was recorded, with the database as it is now."""
        return History(
            database=read_database(self._records),
            readings=[
                Reading(tape.stream_id, tape.first - 1, tuple(frame.raw for frame in tape.frames), tape.ended or "open")
                for tape in tapes
                if tape.status == 200
            ],
            calls=[Call(_stream_of(call), call.status, call.time, call.ended_at) for call in self._upstream.calls],
            requests=list(self._requests),
            samples=list(self._samples),
            deaths=list(self._deaths),
        )

    def check(self, tapes: Iterable[Tape]) -> None:
        """Raises AssertionError where a promise was not kept."""
        found = breaches(self.history(tapes))
        assert not found, "\n".join(f"promise {each.promise}, {each.stream}: {each.what}" for each in found[:20])


def read_database(records: Records) -> dict[str, Stored]:
    """Every stream with its log and its cost, in one snapshot."""
    streams, events, costs = _snapshot(records)
    log: dict[int, list[Event]] = defaultdict(list)
    for row in events:
        log[row["stream_id"]].append(Event(row["event_id"], TYPES[row["type"]], row["data"]))
    ledger: dict[int, list[Cost]] = defaultdict(list)
    for row in costs:
        ledger[row["stream_id"]].append(_cost(row))
    return {
        row["stream_id"]: Stored(
            status=row["status"],
            finish_reason=row["finish_reason"],
            end=row["next_event_id"],
            closed=bool(row["closed"]),
            finished_at=_epoch(row["finished_at"]),
            events=tuple(log[row["id"]]),
            costs=tuple(ledger[row["id"]]),
        )
        for row in streams
    }


Rows = list[dict[str, Any]]


def _snapshot(records: Records) -> tuple[Rows, Rows, Rows]:
    if records.is_sqlite:
        with records.sqlite() as connection:
            connection.execute("BEGIN")
            streams, events, costs = (_dicts(connection.execute(query)) for query in (STREAMS, EVENTS, COSTS))
            connection.execute("COMMIT")
        return streams, events, costs
    with psycopg.connect(records.url, row_factory=dict_row) as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        streams, events, costs = (session.execute(query).fetchall() for query in (STREAMS, EVENTS, COSTS))
    return streams, events, costs


def _dicts(cursor: sqlite3.Cursor) -> Rows:
    return [dict(row) for row in cursor]


def _cost(row: dict[str, Any]) -> Cost:
    prices = tuple(row[name] for name in PRICES)
    return Cost(
        state=row["state"],
        prompt=row["prompt_tokens"],
        completion=row["completion_tokens"],
        cached=row["cached_tokens"],
        cache_write=row["cache_write_tokens"],
        prices=None if None in prices else (prices[0], prices[1], prices[2], prices[3]),
        total=row["total_pico_usd"],
        settled=row["settled_at"] is not None,
    )


def _epoch(moment: datetime | str | None) -> float | None:
    if isinstance(moment, str):  # of SQLite: UTC, without saying so
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return None if moment is None else moment.timestamp()


def _stream_of(call: UpstreamCall) -> str:
    """Streams of these tests name themselves in their system prompt."""
    return str(call.body["system"] if "system" in call.body else call.body["messages"][0]["content"])
