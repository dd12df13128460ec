"""A provider that is hostile or broken, on either wire, and what its streams come to, all the way to the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.faults.conftest import NO_LIMITS
from tests.faults.recorder import Recorder
from tests.faults.records import Records
from tests.faults.wire import Crowd, Tape
from tests.frames import text_of
from tests.history import History, Stored
from tests.promises import breaches
from tests.servers import Server
from tests.upstream import LOOKS_LIKE_FRAMES, Upstream

WIRES = {"chat-completions": "gpt-4o-mini", "messages": "claude-haiku-4-5"}
"""A model of each."""

ENDS_WITHIN_SECONDS = 60
PATIENCE_SECONDS = 10
"""For a provider that stalls; one that speaks is to be heard within it, with all of them at once."""
MOST_GROWTH_MIB = 150
SAID = {"count": 3}
HALF = "1 2 "


@dataclass(frozen=True)
class Case:
    """What the provider does, and what is to come of it."""

    name: str
    script: dict[str, Any]
    error: tuple[str, bool] | None
    """``error_type`` and ``retryable``; None: it ends with ``done``."""
    text: str | None = ""
    """None: whatever had come."""
    cost_state: str = "estimated"
    calls: int = 1


BREAKS = ("provider_error", True)
CASES = (
    Case("stalls-before", {"stall_after": -1}, ("provider_timeout", True)),
    Case("stalls-in-the-middle", {**SAID, "stall_after": 2}, ("provider_timeout", True), HALF),
    Case("cut-before", {"cut_after": -1}, BREAKS),
    Case("cut-between-frames", {**SAID, "cut_after": 2}, BREAKS, HALF),
    Case("cut-in-a-frame", {**SAID, "cut_after": 2, "cut_inside": "frame"}, BREAKS, HALF),
    Case("cut-in-a-character", {**SAID, "cut_after": 2, "cut_inside": "utf8"}, BREAKS, HALF),
    Case("cut-between-cr-and-lf", {**SAID, "cut_after": 2, "cut_inside": "crlf", "newline": "\r\n"}, BREAKS, HALF),
    Case("resets", {**SAID, "reset_after": 2}, BREAKS, None),
    Case("never-says-why-it-ends", {**SAID, "finish_reason": None, "usage": None, "done": False}, BREAKS, "1 2 3 "),
    Case("answers-400", {"status": 400}, ("invalid_request", False)),
    Case("answers-401", {"status": 401}, ("provider_auth", False)),
    Case("answers-429", {"status": 429, "retry_after": "1"}, ("provider_rate_limited", True), calls=3),
    Case("answers-500", {"status": 500}, BREAKS),
    Case("answers-503", {"status": 503, "retry_after": "1"}, BREAKS, calls=3),
    Case("answers-529", {"status": 529, "retry_after": "1"}, BREAKS, calls=3),
    Case("redirects", {"status": 307, "location": "http://127.0.0.1:1/"}, ("provider_error", False)),
    Case("answers-with-a-page", {"html": True}, ("provider_error", False)),
    Case("tells-garbage", {**SAID, "garbage_after": 2}, BREAKS, HALF),
    Case("fails-inside-the-stream", {**SAID, "error_after": 2}, BREAKS, HALF),
    Case("tells-no-usage", {**SAID, "usage": None}, None, "1 2 3 "),
    Case("contradicts-itself", {**SAID, "usage": {"prompt_tokens": 0, "completion_tokens": -7, "output_tokens": -7}},
         None, "1 2 3 "),
    Case("tells-everything-at-once", {**SAID, "huge": 350_000}, None, "漢" * 350_000 + "1 2 3 ", "provider"),
    Case("never-ends-its-line", {**SAID, "endless_after": 2}, ("provider_error", False), HALF),
    Case("says-frames", {"text": LOOKS_LIKE_FRAMES}, None, LOOKS_LIKE_FRAMES, "provider"),
    Case("says-half-characters", {"pieces": ["a\ud83d", "\ude00b", "\0c", "\ude00", "d\ud83d"]},
         None, "a😀b\0c\ufffdd\ufffd", "provider"),
)  # fmt: skip


@dataclass
class Played:
    """All cases at once, to their end."""

    history: History
    tapes: dict[str, Tape]
    upstream: Upstream
    grown_mib: float


@pytest.fixture(scope="module")
def played(sqlite: databases.SQLite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """One server, asked for everything on both wires at once."""
    url = sqlite.new()
    with Upstream() as upstream, Crowd() as crowd:
        providers = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "sk-tests")
        addresses = dict.fromkeys(("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"), upstream.url)
        options = {**NO_LIMITS, **providers, **addresses, "STREAM_PROVIDER_TIMEOUT_SECONDS": str(PATIENCE_SECONDS)}
        options["STREAM_CONNECTION_BYTES"] = str(2**22)  # all of it in one connection
        server = Server(url, tmp_path_factory.mktemp("hostile"), kind="uvicorn", **options).start()
        try:
            recorder, before = Recorder(Records(url), upstream), _resident_mib(server)
            tapes = {name: crowd.read(server.url, **asked) for name, asked in _all_asked().items()}
            recorder.started(*tapes)
            crowd.wait_for_end(*tapes.values(), timeout=ENDS_WITHIN_SECONDS)
            yield Played(recorder.history(tapes.values()), tapes, upstream, _resident_mib(server) - before)
        finally:
            server.kill()
        server.refuse_leaks()
        assert "Traceback" not in server.log_text() and '"exception":' not in server.log_text()


def _all_asked() -> dict[str, dict[str, Any]]:
    return {
        f"{case.name}-{wire}": {
            "user_id": "u1",
            "stream_id": f"{case.name}-{wire}",
            "message": json.dumps(case.script),
            "model": model,
            "system": f"{case.name}-{wire}",
        }
        for case in CASES
        for wire, model in WIRES.items()
    }


def _resident_mib(server: Server) -> float:
    pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_stream_of_a_provider_that(played: Played, case: Case, wire: str) -> None:
    stream = f"{case.name}-{wire}"
    tape, stored = played.tapes[stream], played.history.database[stream]
    tape.check()
    check_end(case, tape, stored)
    for secret in (b"sk-secret", b"sk-tests", b"asked", b"127.0.0.1"):
        assert secret not in tape.raw
    assert len([call for call in played.history.calls if call.stream == stream]) == case.calls


def check_end(case: Case, tape: Tape, stored: Stored) -> None:
    """How it ended, what had been said, and what it costs."""
    told = tape.frames[-1].data
    if case.error is None:
        assert (tape.frames[-1].type, told.get("finish_reason")) == ("done", "stop"), told
    else:
        assert (tape.frames[-1].type, (told.get("error_type"), told.get("retryable"))) == ("error", case.error), told
    if case.text is not None:
        assert text_of(tape.frames) == case.text
    assert (told["cost_state"], stored.costs[0].state) == (case.cost_state, case.cost_state)


def test_every_promise_is_kept_meanwhile(played: Played) -> None:
    assert breaches(played.history) == []


def test_nothing_of_it_stays_in_memory(played: Played) -> None:
    assert played.grown_mib < MOST_GROWTH_MIB
    assert all(call.ended is not None for call in played.history.calls)
