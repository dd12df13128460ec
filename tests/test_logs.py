"""Logs: one line of JSON each, with what an operator looks for and nothing that a user wrote."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from streaming.logs import JsonFormatter, hide_queries
from tests.frames import connect, read_all
from tests.servers import Server


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(printed: io.StringIO) -> logging.Logger:
    handler = logging.StreamHandler(printed)
    handler.setFormatter(JsonFormatter())
    made = logging.Logger("tests")
    made.addHandler(handler)
    return made


def test_a_line_is_json_with_its_extras(logger: logging.Logger, printed: io.StringIO) -> None:
    logger.warning("two\nlines %s", "\x1b[0m", extra={"stream_id": "s1"})
    [text] = printed.getvalue().splitlines()
    line = json.loads(text)
    assert (line["level"], line["message"], line["stream_id"]) == ("warning", "two\nlines \x1b[0m", "s1")


def test_an_exceptions_message_is_kept_back(logger: logging.Logger, printed: io.StringIO) -> None:
    try:
        raise ValueError("sk-secret and a prompt")
    except ValueError:
        logger.exception("failed")
    assert "secret" not in printed.getvalue()
    line = json.loads(printed.getvalue())
    assert line["exception"] == "ValueError" and "test_logs.py" in line["at"][-1]


def test_the_access_log_of_uvicorn_has_no_query_strings(caplog: pytest.LogCaptureFixture) -> None:
    hide_queries()
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        args = ("127.0.0.1:5", "GET", "/api/v1/stream?message=secret", "1.1", 200)
        logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', *args)
    assert "/api/v1/stream HTTP" in caplog.text and "secret" not in caplog.text


def test_what_daphne_tells_of_a_request_has_no_query_string(caplog: pytest.LogCaptureFixture) -> None:
    hide_queries()
    message = "Application instance %r for connection %s took too long to shut down and was killed."
    logging.getLogger("daphne.server").warning(message, "<Task>", "<WebRequest uri=/api?message=secret method=GET>")
    assert "uri=/api? method=GET" in caplog.text and "secret" not in caplog.text


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_start_resume_and_terminal_are_a_line_each(kind: str, sqlite_url: str, serve: Callable[..., Server]) -> None:
    server = serve(sqlite_url, kind=kind)
    asked: dict[str, Any] = {"user_id": "u1", "stream_id": "s1", "message": "/echo a canary sings"}
    with connect(server.url, headers={"X-Request-Id": "req-1"}, **asked) as (_, frames):
        last = list(frames)[-1]
    with connect(server.url, headers={"X-Request-Id": "req-2"}, user_id="u1", stream_id="s1", last_event_id=0) as it:
        list(it[1])
    read_all(server.url, user_id="u1", stream_id="s2", message="/fail")
    server.terminate()
    text = server.log_text()
    assert "canary" not in text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    of_stream = {line["event"]: line for line in lines if line.get("stream_id") == "s1"}
    assert {event: line["request_id"] for event, line in of_stream.items()} == {
        "start": "req-1",
        "terminal": "req-1",
        "resume": "req-2",
    }
    assert (of_stream["start"]["model"], of_stream["resume"]["after"]) == ("demo", 0)
    terminal = of_stream["terminal"]
    assert (terminal["status"], terminal["chunks"], terminal["outcome"]) == ("done", 3, "applied")
    assert float(terminal["cost_usd"]) == last.data["total_cost"]
    assert terminal["latency_ms"] == last.data["latency_ms"]
    failed = next(line for line in lines if line.get("stream_id") == "s2" and line.get("event") == "terminal")
    assert (failed["status"], failed["error_type"]) == ("error", "provider_error")
