"""A release beside the one before it, on one database: the newest older commit that has other migrations."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.databases import ROOT
from tests.faults.conftest import MODEL, NewDatabase, Serve
from tests.faults.records import Records
from tests.faults.wire import Crowd, replay
from tests.frames import text_of
from tests.servers import Server
from tests.test_migrations import OLDEST
from tests.upstream import Upstream

pytestmark = [pytest.mark.soak, pytest.mark.timeout(180)]

COUNT = 250
SCRIPT = json.dumps({"count": COUNT, "delay_ms": 20})
LONG = json.dumps({"count": 10_000, "delay_ms": 20})
FOLDERS = [f"{app}/migrations" for app in OLDEST]


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


def migrations_of(commit: str) -> set[str]:
    return set(git("ls-tree", "-r", "--name-only", commit, "--", *FOLDERS).decode().split())


def find_older() -> str | None:
    """The newest commit with fewer migrations than are here now, and with the oldest that may run beside them."""
    now = {str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).glob("*.py")}
    needed = {f"{app}/migrations/{name}.py" for app, name in OLDEST.items()}
    for commit in git("log", "--format=%H", "HEAD", "--", *FOLDERS).decode().split():
        if needed <= (then := migrations_of(commit)) and then < now:
            return commit
    return None


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the version before."""
    if not (ROOT / ".git").exists() or (commit := find_older()) is None:
        pytest.skip("the history has no older version with other migrations: it takes a whole clone")
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_an_older_version_starts_and_a_newer_one_reads_cancels_and_closes(
    older: Path, new_database: NewDatabase, serve: Serve, upstream: Upstream, crowd: Crowd
) -> None:
    url = new_database("postgresql")
    records = Records(url)
    old, new = serve(url, cwd=older), serve(url)
    check_streams_across(old, new, crowd)
    check_streams_across(new, old, crowd)
    check_cancel_across(old, new)
    check_cancel_across(new, old)
    assert [call.ended for call in upstream.calls[:2]] == ["answered"] * 2
    old.begin("killed", LONG, model=MODEL)
    tape = crowd.read(new.url, stream_id="killed", user_id="u1")
    crowd.wait_for_frames(5, tape)
    old.kill()
    crowd.wait_for_end(tape)
    assert tape.frames[-1].data["error_type"] == "interrupted"
    assert records.cost("killed").state == "estimated"
    assert records.count_terminals("killed") == 1
    assert "Traceback" not in old.log_text() + new.log_text()


def check_streams_across(producer: Server, other: Server, crowd: Crowd) -> None:
    """What the one produces, the other shows, byte for byte; and afterwards too."""
    stream = f"from-{producer.port}"
    producer.begin(stream, SCRIPT, model=MODEL)
    tapes = [crowd.read(server.url, stream_id=stream, user_id="u1") for server in (producer, other)]
    crowd.wait_for_end(*tapes)
    assert text_of(tapes[0].frames) == "".join(f"{number} " for number in range(1, COUNT + 1))
    later = replay([producer.url, other.url], stream_id=stream, user_id="u1")
    assert {tape.raw for tape in (*tapes, *later)} == {tapes[0].raw}
    shown = [server.snapshot(stream) for server in (producer, other)]
    assert shown[0]["status"] == shown[1]["status"] == "done"
    assert shown[0]["total_cost"] == shown[1]["total_cost"]


def check_cancel_across(producer: Server, other: Server) -> None:
    """What the one produces, the other ends."""
    stream = f"cancelled-{producer.port}"
    producer.begin(stream, LONG, model=MODEL)
    answer = other.post(f"/api/v1/stream/{stream}/cancel", {"user_id": "u1"})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
