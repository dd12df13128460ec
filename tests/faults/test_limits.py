"""Limits of streams and connections, and whatever a provider may raise: always exactly one terminal event."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import databases
from tests.faults.conftest import NO_LIMITS, Serve
from tests.faults.records import Records
from tests.faults.wire import Crowd, Tape, replay
from tests.frames import read_all, text_of
from tests.servers import Server

KINDS = (
    *("ProviderError", "ValueError", "Odd", "CancelledError", "GeneratorExit", "StopAsyncIteration"),
    *("TimeoutError", "ExceptionGroup", "MemoryError", "SystemExit", "KeyboardInterrupt"),
)
HARMLESS_PIECES = ("negative", "huge", "unknown", "surrogate", "nul")
BROKEN_PIECES = ("none", "text", "bytes", "delta", "usage", "finish")


def test_a_stream_beyond_its_own_time_limit_ends_with_timeout(database_url: str, serve: Serve) -> None:
    server = serve(database_url, STREAM_MAX_SECONDS="1", STREAM_HEARTBEAT_SECONDS="0.3")
    started = time.monotonic()
    frames = read_all(server.url, user_id="u1", stream_id="s1", message="/sleep 30")
    assert 1 <= time.monotonic() - started < 30
    assert (frames[-1].type, frames[-1].data["error_type"], frames[-1].data["retryable"]) == ("error", "timeout", True)
    assert Records(database_url).cost("s1").state == "estimated"


def test_an_answer_beyond_the_byte_limit_is_done_with_length(sqlite_url: str, serve: Serve) -> None:
    server = serve(sqlite_url, STREAM_MAX_BYTES="1000")
    frames = read_all(server.url, user_id="u1", stream_id="s1", message="/count 1000 0")
    size = len(text_of(frames).encode())
    assert (frames[-1].type, frames[-1].data["finish_reason"]) == ("done", "length")
    assert 1000 <= size < 1000 + len("1000 ")
    assert server.snapshot("s1")["cost_state"] == "estimated"


def test_a_connection_is_closed_cleanly_when_its_time_is_up_and_resume_gives_the_rest(
    sqlite_url: str, serve: Serve, crowd: Crowd
) -> None:
    server = serve(sqlite_url, STREAM_CONNECTION_SECONDS="1", STREAM_HEARTBEAT_SECONDS="0.2")
    server.begin("s1", "/count 60000 20")
    tapes: list[Tape] = []
    for _ in range(2):
        after = tapes[-1].last_event_id if tapes else -1
        started = time.monotonic()
        tapes.append(crowd.read(server.url, stream_id="s1", user_id="u1", last_event_id=after))
        crowd.wait_for_end(tapes[-1])
        tapes[-1].check()
        assert (tapes[-1].ended, tapes[-1].closes) == ("clean", False)
        assert tapes[-1].ended_at - started >= 1
    assert server.post("/api/v1/stream/s1/cancel", {"user_id": "u1"}).status_code == 200
    tapes.append(crowd.read(server.url, stream_id="s1", user_id="u1", last_event_id=tapes[-1].last_event_id))
    whole = crowd.read(server.url, stream_id="s1", user_id="u1")
    crowd.wait_for_end(tapes[-1], whole)
    assert whole.closes
    assert b"".join(tape.raw for tape in tapes) == whole.raw


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_a_connection_is_closed_cleanly_after_its_bytes_and_at_most_64_kib_more(
    sqlite_url: str, serve: Serve, crowd: Crowd, kind: str
) -> None:
    limit = 20_000
    server = serve(sqlite_url, kind=kind, STREAM_CONNECTION_BYTES=str(limit))
    server.begin("s1", "/count 5000 0")
    tapes: list[Tape] = []
    while not (tapes and tapes[-1].closes):
        after = tapes[-1].last_event_id if tapes else -1
        tapes.append(crowd.read(server.url, stream_id="s1", user_id="u1", last_event_id=after))
        crowd.wait_for_end(tapes[-1])
        tapes[-1].check()
        assert tapes[-1].ended == "clean"
        assert tapes[-1].closes or limit <= tapes[-1].size <= limit + 65536
    assert len(tapes) >= 3
    assert [frame.event_id for tape in tapes for frame in tape.frames] == list(range(5001))


@pytest.fixture(scope="module")
def odd(sqlite: databases.SQLite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Records]]:
    """A server with the odd provider."""
    url = sqlite.new()
    settings: dict[str, Any] = {"DJANGO_SETTINGS_MODULE": "tests.faults.odd_settings", "STREAM_MAX_SECONDS": "2"}
    server = Server(url, tmp_path_factory.mktemp("odd"), kind="uvicorn", **settings, **NO_LIMITS)
    try:
        yield server.start(), Records(url)
    finally:
        server.kill()


def ask(odd: tuple[Server, Records], message: str) -> Tape:
    """The one answer of the odd provider; checks that it ends once, is settled, and tells no secret."""
    server, records = odd
    stream_id = message.replace(" ", "-")
    server.begin(stream_id, message, model="odd")
    [tape] = replay([server.url], stream_id=stream_id, user_id="u1")
    assert tape.closes
    assert records.count_terminals(stream_id) == 1
    assert records.cost(stream_id).settled
    assert b"secret" not in tape.raw
    assert server.get("/ready").status_code == 200
    return tape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", ["call", "first", "middle", "last", "closing"])
def test_whatever_a_provider_raises_at_any_stage_the_stream_ends_once(
    odd: tuple[Server, Records], stage: str, kind: str
) -> None:
    terminal = ask(odd, f"{stage} {kind}").frames[-1]
    expected = {"ProviderError": "provider_error", "CancelledError": "interrupted"}.get(kind, "internal")
    assert (terminal.type, terminal.data["error_type"]) == ("error", expected)


@pytest.mark.parametrize("kind", ["Odd", "ValueError", "SystemExit"])
def test_a_provider_that_raises_when_its_time_is_up_ends_with_timeout(odd: tuple[Server, Records], kind: str) -> None:
    assert ask(odd, f"silent {kind}").frames[-1].data["error_type"] == "timeout"


def test_a_provider_that_raises_when_it_is_stopped_does_not_hide_why(
    sqlite_url: str, serve: Serve, crowd: Crowd
) -> None:
    server = serve(sqlite_url, DJANGO_SETTINGS_MODULE="tests.faults.odd_settings", STREAM_DRAIN_SECONDS="0")
    server.begin("s1", "silent Odd", model="odd")
    tape = crowd.read(server.url, stream_id="s1", user_id="u1")
    crowd.wait_for_frames(2, tape)
    server.terminate()
    crowd.wait_for_end(tape)
    assert tape.frames[-1].data["error_type"] == "interrupted"


@pytest.mark.parametrize("piece", BROKEN_PIECES)
def test_a_piece_that_is_none_ends_the_stream_as_internal(odd: tuple[Server, Records], piece: str) -> None:
    assert ask(odd, f"piece {piece}").frames[-1].data["error_type"] == "internal"


@pytest.mark.parametrize("piece", HARMLESS_PIECES)
def test_a_piece_with_odd_values_does_no_harm(odd: tuple[Server, Records], piece: str) -> None:
    frames = ask(odd, f"piece {piece}").frames
    assert (frames[-1].type, frames[-1].data["total_tokens"]) == ("done", 30)


def test_a_provider_that_gives_no_iterator_ends_the_stream_as_internal(odd: tuple[Server, Records]) -> None:
    assert ask(odd, "object -").frames[-1].data["error_type"] == "internal"
