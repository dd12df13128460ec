"""§3: "A system check refuses open access with ``ALLOWED_HOSTS`` beyond loopback", and then no server starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.servers import ROOT


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Python in the project, with these settings."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAM_")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**environment, "SECRET_KEY": "tests", "DATABASE_URL": "sqlite://:memory:", **env},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("open_access", "hosts", "refused"),
    [
        ("1", "example.com", True),
        ("1", "localhost,0.0.0.0", True),
        ("1", "*", True),
        ("1", ".example.com", True),
        ("1", "localhost,127.0.0.1,[::1]", False),
        ("0", "*", False),
        ("0", "example.com", False),
    ],
)
def test_the_check_refuses_open_access_beyond_loopback(open_access: str, hosts: str, refused: bool) -> None:
    checked = run("manage.py", "check", STREAM_OPEN_ACCESS=open_access, ALLOWED_HOSTS=hosts)
    assert (checked.returncode != 0) == refused, checked.stderr
    assert ("streaming.E001" in checked.stderr) == refused


@pytest.mark.parametrize(
    "command",
    [("daphne", "-b", "127.0.0.1", "-p"), ("uvicorn", "--host", "127.0.0.1", "--port")],
    ids=["daphne", "uvicorn"],
)
def test_no_server_starts_then(command: tuple[str, ...]) -> None:
    ended = run(*("-m", *command, "0", "config.asgi:application"), STREAM_OPEN_ACCESS="1", ALLOWED_HOSTS="*")
    assert ended.returncode != 0
    assert "streaming.E001" in ended.stderr


def test_open_access_is_off_unless_it_is_turned_on() -> None:
    shown = run("-c", "from config import settings; print(settings.STREAM_OPEN_ACCESS, settings.DEBUG)")
    assert shown.stdout.split() == ["False", "False"], shown.stderr
