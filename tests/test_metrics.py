"""``/metrics``: what is counted, over all processes of a machine, and whoever dies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from django.test import RequestFactory, override_settings

from streaming import metrics as counted
from streaming.addresses import may_read_metrics
from streaming.journal import OTHER, _label
from streaming.providers.openai import OpenAIProvider
from tests.frames import connect, read_all
from tests.metrics import read, wait_until
from tests.servers import Server

SECRET = "hush-hush"


def test_two_processes_show_the_same_sums_and_what_a_killed_one_counted_stays(
    sqlite_url: str, serve: Callable[..., Server], tmp_path: Path
) -> None:
    limits = {"STREAM_LEASE_SECONDS": "4", "STREAM_SWEEP_SECONDS": "0.2", "STREAM_MAX_CONCURRENT_PER_USER": "2"}
    # Without a heartbeat every event is one that is counted below.
    options = {"DEMO_TOKENS_PER_SECOND": "0", "STREAM_HEARTBEAT_SECONDS": "600", **limits}
    one, other = serve(sqlite_url, **options), serve(sqlite_url, kind="uvicorn", **options)
    read_all(one.url, user_id=SECRET, stream_id=f"{SECRET}-1", message=f"/echo {SECRET}")
    read_all(other.url, user_id="u", stream_id="counted", message="/count 100 0")
    read_all(other.url, user_id="u", stream_id="failed", message="/fail after 2 chunks")
    read_all(other.url, user_id="u", stream_id="counted", last_event_id=39)
    read_all(one.url, user_id="u", stream_id="counted", message="/count 100 0")
    for number in range(2):
        one.begin(f"long-{number}", "/sleep 300", "busy")
    refused = one.post("/api/v1/stream", {"user_id": "busy", "message": "/sleep 300"})
    assert refused.status_code == 429

    seen = wait_until(other.url, lambda now: now.value("terminals_total") == 3)
    assert seen.value("starts_total", model="demo") == 5
    assert seen.value("terminals_total", status="done") == 2
    assert seen.value("terminals_total", status="error", error_type="provider_error") == 1
    assert seen.value("upstream_errors_total", provider="demo", error_type="provider_error") == 1
    assert seen.value("active_streams") == 2
    assert seen.value("idempotent_hits_total") == 1
    assert seen.value("resumes_total") == 1
    assert seen.value("resume_gap_events_sum") == 61
    assert seen.value("replayed_events_total") == 61 + 101
    assert seen.value("quota_refusals_total", error_type="too_many_streams") == 1
    assert seen.value("refusals_total", status="429") == 1
    assert seen.value("time_to_first_token_seconds_count") == 3
    assert seen.value("append_batch_events_sum") == 2 + 101 + 3
    assert seen.value("commit_latency_seconds_count") > 0
    assert seen.value("tokens_total", kind="completion") == 100 + 2 + 2
    ledger = [
        server.snapshot(name, user)["total_cost"]
        for server, name, user in ((one, f"{SECRET}-1", SECRET), (one, "counted", "u"), (one, "failed", "u"))
    ]
    assert seen.value("cost_usd_total") == pytest.approx(sum(ledger))
    assert seen.value("compared_cost_usd_total", by="provider") > 0
    assert SECRET not in seen.text and "counted" not in seen.labels() and "busy" not in seen.labels()
    assert wait_until(one.url, lambda now: now.value("event_loop_lag_seconds_count") > 0)
    assert read(one.url).value("starts_total") == 5

    one.kill()
    assert read(other.url).value("active_streams") == 0
    closed = wait_until(other.url, lambda now: now.value("orphans_closed_total") == 2)
    assert closed.value("terminals_total", status="error", error_type="interrupted") == 2
    assert closed.value("starts_total") == 5
    other.kill()
    one.start()
    restarted = read(one.url)
    assert restarted.value("starts_total") == 5
    assert restarted.value("terminals_total") == 5
    numbers = {path.stem.rsplit("_", 1)[1] for path in (tmp_path / "metrics").glob("*.db")}
    assert numbers == {str(one.pid), "retired"}, "the files of the dead are gone"


def test_an_orphan_that_a_cancel_closes_is_counted(sqlite_url: str, serve: Callable[..., Server]) -> None:
    one = serve(sqlite_url, STREAM_LEASE_SECONDS="2")
    other = serve(sqlite_url, STREAM_LEASE_SECONDS="600", STREAM_SWEEP_SECONDS="300")
    one.begin("long", "/sleep 300", "u")
    one.kill()
    answer = httpx.delete(f"{other.url}/api/v1/stream/long?user_id=u", trust_env=False, timeout=30)
    assert answer.json()["status"] == "cancelled", "nobody else looks for it"
    seen = wait_until(other.url, lambda now: now.value("orphans_closed_total") == 1)
    assert seen.value("terminals_total", status="cancelled") == 1


def test_readers_are_counted_by_how_they_end(sqlite_url: str, serve: Callable[..., Server]) -> None:
    server = serve(sqlite_url, STREAM_CONNECTION_BYTES="2000", DEMO_TOKENS_PER_SECOND="0")
    with connect(server.url, user_id="u", stream_id="long", message="/sleep 300") as (response, _):
        assert response.status_code == 200
        wait_until(server.url, lambda now: now.value("active_readers") == 1)
    left = wait_until(server.url, lambda now: now.value("active_readers") == 0)
    assert left.value("readers_dropped_total", reason="left") == 1
    with connect(server.url, user_id="u", stream_id="handed", message="/count 500 0") as (_, frames):
        assert not list(frames)[-1].is_terminal
    handed = wait_until(server.url, lambda now: now.value("active_readers") == 0)
    assert handed.value("readers_dropped_total", reason="handed_over") == 1
    assert handed.value("readers_dropped_total") == 2


def test_metrics_are_for_those_who_ask_from_an_allowed_network(sqlite_url: str, serve: Callable[..., Server]) -> None:
    server = serve(sqlite_url)
    assert server.get("/metrics").headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    proxied = httpx.get(f"{server.url}/metrics", headers={"X-Forwarded-For": "127.0.0.1"}, timeout=30, trust_env=False)
    assert proxied.status_code == 403 and "streaming_" not in proxied.text


@pytest.mark.parametrize(
    ("peer", "allowed", "may"),
    [
        ("127.0.0.1", "127.0.0.0/8,::1/128", True),
        ("::1", "127.0.0.0/8,::1/128", True),
        ("::ffff:127.0.0.1", "127.0.0.0/8", True),
        ("10.1.2.3", "127.0.0.0/8,::1/128", False),
        ("10.1.2.3", "127.0.0.1, 10.1.0.0/16", True),
        ("127.0.0.1", "", False),
        ("", "0.0.0.0/0", False),
    ],
)
def test_networks(peer: str, allowed: str, may: bool) -> None:
    with override_settings(STREAM_METRICS_ALLOW=allowed):
        assert may_read_metrics(RequestFactory().get("/metrics", REMOTE_ADDR=peer)) is may


def test_a_model_that_is_only_asked_for_has_no_series_of_its_own() -> None:
    provider = OpenAIProvider()
    offered = provider.models()[0].id
    assert _label(provider, offered) == offered
    assert _label(provider, "gpt-made-up-by-a-client") == OTHER
    with override_settings(STREAM_DEFAULT_MODEL="gpt-of-ours"):
        assert _label(provider, "gpt-of-ours") == "gpt-of-ours"


def test_a_report_of_a_client_is_counted() -> None:
    def value(name: str) -> float:
        return counted.REGISTRY.get_sample_value(f"streaming_client_{name}") or 0

    names = ("reports_total", "reconnects_sum", "duplicates_dropped_total", "stalls_total", "recovery_seconds_sum")
    before = [value(name) for name in names]
    counted.count_client_report(reconnects=12, duplicates=3, stalls=1, recoveries=(0.5, 2.0), opened=10, failed=2)
    assert [value(name) - old for name, old in zip(names, before, strict=True)] == [1, 12, 3, 1, 2.5]
