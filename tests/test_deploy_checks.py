"""``manage.py check --deploy``: what it says of unsafe settings, and that it says nothing of safe ones."""

from __future__ import annotations

import pytest

from tests.commands import run
from tests.databases import PostgreSQL

SAFE = {
    "SECRET_KEY": "k" * 60 + "0123456789",
    "ALLOWED_HOSTS": "magic.example.com",
    "COOKIES_SECURE": "1",
    "STREAM_TRUSTED_PROXIES": "1",
    "STREAM_BUDGET_USD_PER_DAY_TOTAL": "50",
    "OPENAI_API_KEY": "sk-test",
}
DATABASE = ("check", "--deploy", "--database", "default")


def test_safe_settings_are_left_alone(sqlite_url: str) -> None:
    said = run(sqlite_url, *DATABASE, **SAFE)
    assert "streaming." not in said.stderr + said.stdout and said.returncode == 0, said.stderr


def test_every_unsafe_setting_is_named(sqlite_url: str) -> None:
    unsafe = {
        "ALLOWED_HOSTS": "*",
        "STREAM_TRUSTED_PROXIES": "0",
        "STREAM_BUDGET_USD_PER_DAY_TOTAL": "0",
        "STREAM_HEARTBEAT_SECONDS": "45",
        "STREAM_METRICS_ALLOW": "0.0.0.0/0,::1",
        "OPENAI_BASE_URL": "http://models.example.com/v1",
        "STREAM_OPENAI_COMPATIBLE": "near=http://127.0.0.1:9/v1,far=http://far.example.com/v1",
    }
    said = run(sqlite_url, *DATABASE, **{**SAFE, **unsafe}).stderr
    for number in (11, 12, 13, 14, 15, 18):
        assert f"streaming.W0{number}" in said, said
    assert "OPENAI_BASE_URL is plain" in said and "(far) is plain" in said and "(near)" not in said
    assert "sk-test" not in said


def test_open_access_and_a_made_up_key_are_named(sqlite_url: str) -> None:
    said = run(sqlite_url, *DATABASE, SECRET_KEY="", STREAM_OPEN_ACCESS="1", ALLOWED_HOSTS="localhost").stderr
    assert "streaming.W001" in said and "streaming.W010" in said


@pytest.mark.parametrize(("options", "warns"), [("", False), ("?options=-c%20synchronous_commit%3Doff", True)])
def test_a_postgresql_that_forgets_is_named(options: str, warns: bool, postgresql: PostgreSQL) -> None:
    said = run(postgresql.new() + options, *DATABASE, **SAFE)
    assert ("streaming.W016" in said.stderr) is warns, said.stderr
