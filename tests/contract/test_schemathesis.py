"""§7: ``/api/openapi.json`` says what is true, as far as schemathesis can find out by asking a running server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.contract.place import Place
from tests.contract.wire import CANARY, client
from tests.servers import Server

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 5
"""Of each operation by chance, on top of its systematic ones: minimal, at the bounds, beyond them."""

pytestmark = pytest.mark.timeout(300)

USER = "u1"
"""Who asks, as ``schemathesis.toml`` says."""

FIRST_TRIED = "0"
"""The name that schemathesis tries first: a stream and a conversation are there by it."""


def find_faults(server: Server, folder: Path, headers: Mapping[str, str], examples: int) -> None:
    """Run schemathesis; fails with what it found."""
    client(server, **headers).begin(
        user_id=USER, stream_id=FIRST_TRIED, conversation_id=FIRST_TRIED, message=f"/echo {CANARY}"
    )
    command = [
        *(str(Path(sys.executable).with_name("st")), "--no-color", "--config-file", str(CONFIGURATION)),
        *("run", f"{server.url}/api/openapi.json", "--phases", "coverage,fuzzing", "--continue-on-failure"),
        *("--seed", "1", "--generation-deterministic"),
        *("--max-examples", str(examples), "--request-timeout", "20"),
        *(f"--header={name}: {value}" for name, value in headers.items()),
    ]
    # In a folder of its own, because it leaves a record of its findings where it runs.
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]


def test_it_finds_nothing_with_open_access(daphne: Server, tmp_path: Path) -> None:
    find_faults(daphne, tmp_path, {}, EXAMPLES)


def test_it_finds_nothing_with_a_key(guarded: Server, guarded_url: str, tmp_path: Path) -> None:
    find_faults(guarded, tmp_path, {"Authorization": f"Bearer {Place(guarded, guarded_url).key()}"}, EXAMPLES)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_it_finds_nothing_on_uvicorn_and_postgresql_over_many_examples(on_postgresql: Server, tmp_path: Path) -> None:
    find_faults(on_postgresql, tmp_path, {}, 500)


def test_the_description_needs_no_identity(guarded: Server) -> None:
    described = client(guarded).get("/api/openapi.json").json
    assert described["components"]["securitySchemes"].keys() == {"session", "key"}
