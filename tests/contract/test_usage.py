"""``GET /api/v1/usage``: what one has used since some time; an addition to the contract's §7."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.wire import Client, fresh

PATH = "/api/v1/usage"


def test_it_sums_what_one_was_billed_since_then_and_nobody_elses(anyone: Client) -> None:
    user, before = fresh("u"), datetime.now(UTC) - timedelta(minutes=1)
    ids = [fresh(), fresh()]
    for name in ids:
        anyone.post({"user_id": user, "stream_id": name, "message": "/count 7 0"})
    anyone.post({"user_id": fresh("u"), "message": "/count 7 0"})
    snapshots = [anyone.snapshot(name, user_id=user).json for name in ids]
    used = anyone.get(PATH, user_id=user, since=before.isoformat()).json
    assert used["streams"] == 2
    for name in ("prompt_tokens", "completion_tokens"):
        assert used[name] == sum(shown[name] for shown in snapshots)
    assert used["total_cost"] == pytest.approx(sum(shown["total_cost"] for shown in snapshots))
    assert (used["estimated"], used["unknown"]) == (0, 0)
    later = anyone.get(PATH, user_id=user, since=(before + timedelta(hours=1)).isoformat()).json
    assert (later["streams"], later["total_cost"]) == (0, None)


@pytest.mark.parametrize("since", ["", "yesterday", "2026-11-24", "2026-11-24T10:00:00"])
def test_a_time_without_its_offset_is_refused(anyone: Client, since: str) -> None:
    answer = anyone.get(PATH, user_id=fresh("u"), since=since)
    assert answer.status == 400
    assert [error["name"] for error in answer.json["errors"]] == ["since"]
