"""Another project takes the app in: other settings, other addresses, middleware of its own (``tests/reuse``)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.frames import connect, read_all, text_of
from tests.servers import ROOT, Server

SETTINGS = "tests.reuse.settings"


@pytest.fixture(params=["daphne", "uvicorn"])
def reuse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """The other project's server, on a new database."""
    database = str(tmp_path / "reuse.sqlite3")
    environment: dict[str, Any] = {"DJANGO_SETTINGS_MODULE": SETTINGS, "REUSE_DATABASE": database}
    migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env={**os.environ, **environment, "PYTHONPATH": str(ROOT)}, check=True)
    server = Server(
        "unused",
        tmp_path,
        kind=request.param,
        application="tests.reuse.asgi:application",
        ready_path="/llm/ready",
        **environment,
    )
    yield server.start()
    server.kill()


def llm(server: Server) -> str:
    """Where the other project has the API."""
    return f"{server.url}/llm"


def test_an_answer_is_streamed_resumed_and_told(reuse: Server) -> None:
    whole = read_all(llm(reuse), user_id="u1", stream_id="s1", message="/count 30 0")
    assert text_of(whole) == "".join(f"{n} " for n in range(1, 31))
    rest = read_all(llm(reuse), user_id="u1", stream_id="s1", last_event_id=9)
    assert [frame.raw for frame in rest] == [frame.raw for frame in whole[10:]]
    snapshot = reuse.get("/llm/api/v1/streams/s1", user_id="u1").json()
    assert (snapshot["status"], snapshot["text"]) == ("done", text_of(whole))
    assert snapshot["last_event_id"] == whole[-1].event_id


def test_the_projects_middleware_sees_its_pages_and_no_stream(reuse: Server) -> None:
    assert reuse.get("/").headers["X-Project"] == "reuse"
    with connect(llm(reuse), user_id="u1", stream_id="s1", message="/count 3 0") as (response, frames):
        assert "X-Project" not in response.headers
        assert list(frames)[-1].is_terminal


def test_open_streams_cost_no_threads(reuse: Server) -> None:
    with ExitStack() as held:
        # All are kept: a connection whose frames nobody holds is closed.
        opened = [
            held.enter_context(connect(llm(reuse), user_id="u1", stream_id=f"s{n}", message="/count 600 10"))
            for n in range(50)
        ]
        assert [next(frames).event_id for _, frames in opened] == [0] * 50
        assert reuse.threads() <= 20
        assert reuse.get("/").text == "home"


@pytest.mark.parametrize("path", ["/llm/api/docs", "/llm/api/openapi.json", "/llm/api/v1/models"])
def test_the_rest_of_the_api_is_there(reuse: Server, path: str) -> None:
    assert reuse.get(path).status_code == 200


def test_a_session_cookie_means_nothing_where_there_are_no_sessions(reuse: Server) -> None:
    cookies = {"sessionid": "of-another-project"}
    parameters = {"user_id": "u1", "stream_id": "s1", "message": "/count 1 0"}
    answer = httpx.get(f"{llm(reuse)}/api/v1/stream", params=parameters, cookies=cookies, timeout=30, trust_env=False)
    assert answer.status_code == 200


def test_a_body_that_is_too_large_is_refused(reuse: Server) -> None:
    body = b'{"message": "' + b"x" * (1024 * 1024) + b'"}'
    json = {"Content-Type": "application/json"}
    answer = httpx.post(f"{llm(reuse)}/api/v1/stream", content=body, headers=json, timeout=30, trust_env=False)
    assert answer.status_code == 413
