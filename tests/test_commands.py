"""Commands that make and revoke: what they say, what they do, and that a dry run does nothing."""

from __future__ import annotations

import io
import re
from typing import Any

from django.core.management import call_command

from tests.commands import run
from tests.conformance.conftest import connected_to
from tests.faults.records import Records


def count_of(records: Records, table: str) -> int:
    """How many rows there are."""
    [row] = records.rows(f"SELECT COUNT(*) AS rows FROM streaming_{table}")
    return int(row["rows"])


def test_examples_come_and_go_and_leave_a_ledger_that_adds_up(database_url: str, django_db_blocker: Any) -> None:
    def call(*arguments: str) -> str:
        """In this process: an interpreter of its own for each takes longer than what it is to do."""
        out = io.StringIO()
        with django_db_blocker.unblock(), connected_to(database_url):
            call_command(*arguments, stdout=out)
        return out.getvalue()

    planned = call("example_history", "--dry-run")
    count = int(planned.split()[0])
    records = Records(database_url)
    assert count > 50 and "would be added" in planned
    assert count_of(records, "stream") == 0
    assert f"{count} of {count}" in call("example_history")
    assert records.rows("SELECT DISTINCT issuer FROM streaming_stream") == [{"issuer": "example"}]
    assert f"{count} settled records" in call("reconcile_costs")
    assert "there already" in call("example_history")
    assert f"{count} example streams would be removed" in call("example_history", "--remove", "--dry-run")
    assert f"{count} example streams were removed" in call("example_history", "--remove")
    for table in ("stream", "streamhead", "streamevent", "streamrecord", "costrecord"):
        assert count_of(records, table) == 0, table


def test_the_first_welcome_brings_examples_and_a_later_one_does_not(sqlite_url: str) -> None:
    first = run(sqlite_url, "welcome", "8000").stdout
    assert "password" in first and "example_history --remove" in first
    run(sqlite_url, "example_history", "--remove")
    later = run(sqlite_url, "welcome", "8000").stdout
    assert "example_history" not in later


def test_a_key_is_revoked_by_its_beginning_or_number(sqlite_url: str) -> None:
    assert run(sqlite_url, "create_api_key", "robot", "--dry-run").stdout == ""
    assert count_of(Records(sqlite_url), "apikey") == 0
    keys = [run(sqlite_url, "create_api_key", name).stdout.strip() for name in ("robot", "other")]
    assert re.fullmatch(r"mgk_[A-Za-z0-9_-]{43}", keys[0])
    assert run(sqlite_url, "revoke_api_key", "mgk_nonsense").returncode == 1
    assert run(sqlite_url, "revoke_api_key", "99").returncode == 1
    assert "would be revoked" in run(sqlite_url, "revoke_api_key", keys[0][:10], "--dry-run").stdout
    revoked = run(sqlite_url, "revoke_api_key", keys[0][:10])
    assert revoked.stdout.startswith("Revoked: key:1 robot") and keys[0] not in revoked.stdout
    assert "was revoked" in run(sqlite_url, "revoke_api_key", "1").stdout
    assert "Revoked: key:2" in run(sqlite_url, "revoke_api_key", "key:2").stdout
    assert count_of(Records(sqlite_url), "apikey WHERE revoked_at IS NOT NULL") == 2
