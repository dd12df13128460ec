"""§7, §12.4: ``GET /api/v1/models``; §7: ``/health``, ``/ready``, ``/version``, ``/api/docs``."""

from __future__ import annotations

import platform
import uuid
from pathlib import Path

import django
import psycopg
import pytest

from tests import databases
from tests.contract.conftest import running
from tests.contract.wire import CANARY, CANARY_KEY, JSON, Client, client
from tests.servers import Server

MODELS = "/api/v1/models"


def test_the_models_that_can_be_used_now(either: Client) -> None:
    answer = either.get(MODELS)
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").split(";")[0] == JSON
    assert set(answer.json) == {"models"}
    [demo] = answer.json["models"]
    prices = {"input": 0.15, "output": 0.6, "cached_input": 0.15, "cache_write": 0.15}
    assert demo == {"id": "demo", "provider": "demo", "prices": prices, "context_window": demo["context_window"]}


def test_models_need_no_identity(guarded: Server) -> None:
    assert client(guarded).get(MODELS).status == 200


def test_a_provider_that_is_configured_offers_its_models(
    tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite
) -> None:
    with running(tmp_path_factory, sqlite.new(), OPENAI_API_KEY=CANARY_KEY) as server:
        answer = client(server).get(MODELS)
    offered = {model["provider"]: model for model in answer.json["models"]}
    assert set(offered) == {"openai", "demo"}
    for model in answer.json["models"]:
        assert set(model) == {"id", "provider", "prices", "context_window"}
        assert model["prices"] is None or set(model["prices"]) == {"input", "output", "cached_input", "cache_write"}
    assert CANARY_KEY.encode() not in answer.body


def test_a_server_says_what_it_is(either: Client) -> None:
    answer = either.get("/version")
    assert set(answer.json) == {"name", "version", "revision", "python", "django"}
    assert answer.json["python"] == platform.python_version()
    assert answer.json["django"] == django.get_version()


def test_a_server_that_works_is_healthy_and_ready(either: Client) -> None:
    for path in ("/health", "/ready", "/version"):
        answer = either.get(path)
        assert answer.status == 200
        assert (answer.header("Content-Type") or "").split(";")[0] == JSON
        assert either.send("HEAD", path).status == 200


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_without_migrations_it_is_alive_and_says_that_they_are_missing(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, kind: str
) -> None:
    url = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    with running(tmp_path_factory, url, kind, ready_path="/health") as server:
        anyone = client(server)
        answer = anyone.get("/ready")
        assert answer.status == 503
        assert "migrations" in answer.json["failing"]
        assert anyone.get("/health").status == 200
        assert anyone.get("/version").status == 200
        refused = anyone.get(user_id="u1", message=CANARY)
        assert refused.status == 503
        assert refused.header("Content-Type") == "application/problem+json"
        assert refused.header("Retry-After")


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_without_a_database_it_is_alive_and_says_so(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, kind: str
) -> None:
    url = f"sqlite:///{tmp_path}/missing/{CANARY_KEY}"
    with running(tmp_path_factory, url, kind, ready_path="/health") as server:
        answer = client(server).get("/ready")
        assert (answer.status, list(answer.json["failing"])) == (503, ["database", "event_log"])
        assert client(server).get("/health").status == 200


def test_a_database_that_goes_away_is_told_and_nothing_of_it(
    tmp_path_factory: pytest.TempPathFactory, postgresql: databases.PostgreSQL
) -> None:
    url = postgresql.new()
    with running(tmp_path_factory, url, "uvicorn") as server:
        anyone = client(server)
        anyone.post({"user_id": "u1", "stream_id": "s1", "message": f"/echo {CANARY}"})
        with psycopg.connect(databases.POSTGRES_URL, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)'.encode())
        assert anyone.get("/health").status == 200
        answer = anyone.get("/ready")
        assert (answer.status, "database" in answer.json["failing"]) == (503, True)
        for refused in (
            anyone.get(user_id="u1", stream_id="s1"),
            anyone.snapshot("s1", user_id="u1"),
            anyone.get("/api/v1/streams", user_id="u1", q=CANARY),
            anyone.get(user_id="u1", stream_id=uuid.uuid4().hex, message=CANARY),
            anyone.get(MODELS),
        ):
            assert refused.status == 503
            assert refused.header("Content-Type") == "application/problem+json"


def test_the_api_is_described(either: Client) -> None:
    assert either.get("/api/docs").status == 200
    described = either.get("/api/openapi.json").json["paths"]
    assert {"/api/v1/anon_session", "/api/v1/models", "/api/v1/streams", "/api/v1/streams/{stream_id}"} <= set(
        described
    )


def test_the_stream_endpoint_is_described_with_all_its_parameters_and_refusals(anyone: Client) -> None:
    described = anyone.get("/api/openapi.json").json
    assert described["openapi"].startswith("3.")
    operations = described["paths"]["/api/v1/stream"]
    assert set(operations) == {"get", "post"}
    for operation in operations.values():
        names = {parameter["name"] for parameter in operation["parameters"]}
        assert names >= {"user_id", "message", "model", "stream_id", "last_event_id", "parent_id", "continues"}
        assert "Last-Event-ID" in names
        assert {"200", "204", "400", "401", "403", "404", "409", "410", "413", "415", "429", "503"} <= set(
            operation["responses"]
        )
