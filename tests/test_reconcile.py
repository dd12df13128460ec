"""``manage.py reconcile_costs``: no drift after every kind of ending, and damage is found."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.commands import run
from tests.databases import manage
from tests.faults.records import Records
from tests.frames import read_all
from tests.servers import Server
from tests.upstream import Script, Upstream

USAGE = {"prompt_tokens": 70, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 33}}
OF_S1 = "stream_id = (SELECT id FROM streaming_stream WHERE stream_id = 's1')"


@pytest.fixture
def used(database_url: str, serve: Callable[..., Server]) -> str:
    """The URL of a database with streams of many endings: done, cut, refused, without a price, pruned, orphaned."""
    with Upstream() as upstream:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": upstream.url, "OPENAI_MODELS": "unpriced"}
        server = serve(database_url, **env)
        for name, script in (("s1", Script(usage=USAGE)), ("s2", Script(cut_after=2)), ("s3", Script(status=400))):
            upstream.queue(script)
            read_all(server.url, user_id="u1", stream_id=name, message="hello", model="gpt-4o-mini")
        read_all(server.url, user_id="u1", stream_id="s4", message="hello", model="unpriced")
        read_all(server.url, user_id="u1", stream_id="s5", message="/count 5 0", model="demo")
        manage(database_url, "prune_streams", "--older-than", "0")
        read_all(server.url, user_id="u1", stream_id="s6", message="/count 5 0", model="demo")
        server.begin("s7", "/sleep 60", model="demo")
        server.kill()
    return database_url


def test_there_is_no_drift(used: str) -> None:
    [told_by_provider] = Records(used).rows(
        f"SELECT CAST(raw_usage AS TEXT) AS raw FROM streaming_costrecord WHERE {OF_S1}"
    )
    assert json.loads(told_by_provider["raw"]) == USAGE
    told = run(used, "reconcile_costs")
    assert told.returncode == 0, told.stdout + told.stderr
    first, second, third = told.stdout.splitlines()
    assert first.startswith("6 settled records, 0.0000") and first.endswith("drift 0.000000000000 USD")
    assert second == "1 compared with their terminal events"
    assert third == "0 differences, 0 closed streams with a pending record, 0 streams without a record"


def test_damage_is_found(used: str) -> None:
    records = Records(used)
    for damage, mend, says in (
        ("total_pico_usd = total_pico_usd + 7", "total_pico_usd = total_pico_usd - 7", "drift 0.000000000007"),
        ("cached_tokens = 0", "cached_tokens = 33", "different: open:u1/s1: recorded"),
        ("state = 'unknown', total_pico_usd = NULL", None, "different: open:u1/s1: recorded None"),
        ("state = 'pending', total_pico_usd = NULL", None, "pending: open:u1/s1"),
    ):
        records.rows(f"UPDATE streaming_costrecord SET {damage} WHERE {OF_S1}")
        told = run(used, "reconcile_costs")
        assert told.returncode == 1
        assert says in told.stdout, told.stdout
        if mend is not None:
            records.rows(f"UPDATE streaming_costrecord SET {mend} WHERE {OF_S1}")
            assert run(used, "reconcile_costs").returncode == 0
    assert run(used, "reconcile_costs", "--since", "2100-01-01").returncode == 0
    assert run(used, "reconcile_costs", "--since", "2020-01-01").returncode == 1
    assert run(used, "reconcile_costs", "--since", "yesterday").returncode == 2
    records.rows(f"DELETE FROM streaming_costrecord WHERE {OF_S1}")
    assert "missing: open:u1/s1" in run(used, "reconcile_costs").stdout


def test_a_terminal_event_that_says_another_cost_is_found(used: str) -> None:
    told = "replace(data, '\"total_cost\":', '\"total_cost\":1')"
    Records(used).rows(f"UPDATE streaming_streamevent SET data = {told} WHERE type >= 3")
    found = run(used, "reconcile_costs")
    assert (found.returncode, "its terminal event says 1" in found.stdout) == (1, True), found.stdout
