"""Settings: ``.env.example`` names all of them, and what a first start writes."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from config import first_run
from config.environment import Environment
from streaming.checks import default_model_is_served, numbers_are_sensible
from streaming.conf import DEFAULTS

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))

NOT_IN_SETTINGS = {"REVISION"}
"""Read from the environment elsewhere."""
COMPUTED = {"DATABASE_URL"}
"""Settings whose default depends on where the project lies."""


def project_settings() -> dict[str, tuple[str, Any]]:
    """``env.<type>(name, default=…)`` in the project's settings: type and default by name."""
    found = {}
    for call in ast.walk(ast.parse((ROOT / "config" / "settings.py").read_text())):
        match call:
            case ast.Call(
                ast.Attribute(ast.Name("env"), kind), [ast.Constant(str(name))], [ast.keyword("default", value)]
            ):
                found[name] = (kind, None if name in COMPUTED else ast.literal_eval(value))
    return found


APP_SETTINGS = {name: value for name, value in DEFAULTS.items() if isinstance(value, (bool, int, float, str, Decimal))}


def test_the_example_names_every_setting_and_nothing_else() -> None:
    assert set(EXAMPLE) == set(project_settings()) | set(APP_SETTINGS) | NOT_IN_SETTINGS


def test_the_example_tells_the_defaults() -> None:
    example = Environment()
    example.ENVIRON = EXAMPLE
    for name, default in APP_SETTINGS.items():
        assert example.get_value(name, cast=type(default)) == default, name
    for name, (kind, default) in project_settings().items():
        if name not in COMPUTED:
            assert getattr(example, kind)(name) == default, name


@pytest.mark.parametrize(("environment", "model"), [({}, "in-the-file"), ({"STREAM_DEFAULT_MODEL": "mine"}, "mine")])
def test_the_environment_wins_over_the_env_file(environment: dict[str, str], model: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / ".env").write_text("STREAM_DEFAULT_MODEL=in-the-file\n")
    told = subprocess.run(
        [sys.executable, "-c", "from django.conf import settings; print(settings.STREAM_DEFAULT_MODEL)"],
        cwd=tmp_path,
        env={"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == model


def read(text: str, default: Any) -> Any:
    environment = Environment()
    environment.ENVIRON = {"NAME": text}
    return environment.get_value("NAME", cast=type(default), default=default)


@pytest.mark.parametrize("default", [True, 7, 1.5, Decimal(3)])
def test_a_number_or_switch_left_empty_has_its_default(default: Any) -> None:
    assert read("", default) == read(" ", default) == default


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [("1e3", 10.0, 1000.0), ("0", True, False), ("Yes", False, True), ("0.5", Decimal(0), Decimal("0.5"))],
)
def test_a_setting_is_read_as_it_stands(text: str, default: Any, value: Any) -> None:
    assert read(text, default) == value


@pytest.mark.parametrize(
    ("text", "default", "rule"),
    [
        ("maybe", False, "NAME is 'maybe'; it must be 1 or 0."),
        ("10s", 10.0, "NAME is '10s'; it must be a number."),
        ("1.5", 3, "NAME is '1.5'; it must be a whole number."),
        ("a few", Decimal(0), "NAME is 'a few'; it must be a number."),
    ],
)
def test_a_setting_that_cannot_be_read_is_told_by_its_name(text: str, default: Any, rule: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        read(text, default)
    assert str(refused.value) == rule


@pytest.mark.parametrize(("text", "level"), [("", "INFO"), ("debug", "DEBUG"), (" ERROR ", "ERROR")])
def test_a_level_is_read_in_any_case(text: str, level: str) -> None:
    environment = Environment()
    environment.ENVIRON = {"NAME": text}
    assert environment.level("NAME", default="INFO") == level


def test_a_level_that_there_is_not_is_told_in_a_sentence() -> None:
    environment = Environment()
    environment.ENVIRON = {"LOG_LEVEL": "foo"}
    with pytest.raises(ImproperlyConfigured) as refused:
        environment.level("LOG_LEVEL", default="INFO")
    assert str(refused.value) == "LOG_LEVEL is 'foo'; it must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL."


@pytest.mark.parametrize("secret", ["$ecret", "$HOME", "$", r"\$x"])
def test_a_text_that_begins_with_a_dollar_is_what_it_is(secret: str) -> None:
    environment = Environment()
    environment.ENVIRON = {"OPENAI_API_KEY": secret, "HOME": "/root", "HOSTS": f"{secret},b"}
    assert environment.get_value("OPENAI_API_KEY", cast=str, default="") == secret
    assert environment.str("OPENAI_API_KEY", default="") == secret
    assert environment.list("HOSTS", default=[]) == [secret, "b"]


def test_a_default_model_that_nobody_serves_is_told() -> None:
    with override_settings(STREAM_DEFAULT_MODEL="demo-2"):
        [error] = default_model_is_served(None)
    assert (error.id, error.msg) == (
        "streaming.E013",
        "STREAM_DEFAULT_MODEL is 'demo-2', and no provider knows that model.",
    )
    with override_settings(STREAM_DEFAULT_MODEL="gpt-4o-mini", OPENAI_API_KEY=""):
        [warning] = default_model_is_served(None)
    assert (warning.id, warning.msg) == (
        "streaming.W019",
        "STREAM_DEFAULT_MODEL is 'gpt-4o-mini', and cannot be used: OPENAI_API_KEY is missing.",
    )


@pytest.mark.parametrize("served", ["", "demo"])
def test_a_default_model_that_is_served_is_fine(served: str) -> None:
    with override_settings(STREAM_DEFAULT_MODEL=served):
        assert default_model_is_served(None) == []


def test_a_database_left_empty_is_the_default_and_a_bad_one_is_not_shown() -> None:
    environment = Environment()
    environment.ENVIRON = {"DATABASE_URL": ""}
    assert environment.db_url(default="sqlite:////tmp/one")["NAME"] == "/tmp/one"
    environment.ENVIRON = {"DATABASE_URL": "secret@host"}
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL must be sqlite:") as refused:
        environment.db_url(default="sqlite:////tmp/one")
    assert "secret" not in str(refused.value)


def test_a_first_run_writes_local_settings_that_only_the_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert first_run.write_env(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = dict(re.findall(r"^([A-Z_]+)=(.*)$", path.read_text(), re.MULTILINE))
    assert len(written["SECRET_KEY"]) >= 50
    assert written["STREAM_OPEN_ACCESS"] == "1"
    assert set(written) <= set(EXAMPLE)
    assert os.listdir(tmp_path) == [".env"]


def test_a_first_run_leaves_settings_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("SECRET_KEY=mine\n")
    assert not first_run.write_env(path)
    assert path.read_text() == "SECRET_KEY=mine\n"
    assert os.listdir(tmp_path) == [".env"]


def test_two_first_runs_write_different_keys(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        first_run.write_env(tmp_path / name)
        texts.append((tmp_path / name).read_text())
    assert texts[0] != texts[1]


def test_a_port_that_is_taken_is_refused_with_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match="cannot be used: Address already in use"):
            first_run.check_port(str(taken.getsockname()[1]))


@pytest.mark.parametrize("port", ["", "0", "65536", "http", "-1", "8000 "])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(ValueError, match="from 1 to 65535"):
        first_run.check_port(port)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STREAM_MAX_CONCURRENT_PER_USER", -1),
        ("STREAM_BUDGET_USD_PER_DAY", Decimal("-0.01")),
        ("STREAM_BUDGET_USD_PER_DAY_TOTAL", Decimal("NaN")),
        ("STREAM_MAX_STREAMS", 0),
    ],
)
def test_a_number_that_makes_no_sense_is_an_error(name: str, value: object) -> None:
    with override_settings(**{name: value}):
        [error] = numbers_are_sensible(None)
    assert error.id == "streaming.E002" and error.msg.startswith(f"{name} is {value}; it must be")


SHIPPED = {
    "STREAM_HEARTBEAT_SECONDS": 10,
    "STREAM_LEASE_SECONDS": 12,
    "STREAM_SWEEP_SECONDS": 1,
    "STREAM_MAX_SECONDS": 600,
    "STREAM_MAX_BYTES": 4 * 2**20,
    "STREAM_PROVIDER_CONNECT_SECONDS": 5,
    "STREAM_PROVIDER_TIMEOUT_SECONDS": 60,
    "STREAM_CONNECTION_SECONDS": 300,
    "STREAM_CONNECTION_BYTES": 2**20,
    "STREAM_DRAIN_SECONDS": 25,
    "STREAM_MAX_MESSAGE_CHARS": 32000,
    "STREAM_MAX_STREAMS": 1000,
    "STREAM_RETENTION_DAYS": 0,
    "STREAM_QUOTA_MESSAGES_PER_HOUR": 20,
    "STREAM_MAX_CONCURRENT_PER_USER": 5,
    "STREAM_MAX_CONNECTIONS_PER_USER": 20,
    "STREAM_BUDGET_USD_PER_DAY": 0,
    "STREAM_BUDGET_USD_PER_DAY_TOTAL": 0,
    "STREAM_OPEN_ACCESS": False,
    "DEMO_TOKENS_PER_SECOND": 40,
}
"""§10 of the contract."""


def test_the_shipped_numbers_are_those_that_are_promised() -> None:
    assert {name: DEFAULTS[name] for name in SHIPPED} == SHIPPED
