"""``manage.py stack``: several processes by one command, which ends all of them with itself."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.databases import skip
from tests.redis_server import BINARY, NO_REDIS
from tests.servers import Server


class Stack(Server):
    """One command, and one address."""

    def _command(self) -> list[str]:
        return [sys.executable, "manage.py", "stack", "--web", "2", "--workers", "2", "--port", str(self.port)]

    def children(self) -> dict[int, str]:
        """The commands that it runs, by process."""
        pids = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return {int(pid): Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in pids}


NAMES = {"web 1", "web 2", "worker 1", "worker 2"}


def started(stack: Stack) -> set[str]:
    """The names of the processes that have come up."""
    return {line.partition("|")[0].strip() for line in stack.log_text().splitlines() if '"process_started"' in line}


@pytest.fixture
def stack(sqlite_url: str, tmp_path: Path) -> Iterator[Stack]:
    if BINARY is None:
        skip(NO_REDIS)
    stack = Stack(sqlite_url, tmp_path, REDIS_URL="")
    children: dict[int, str] = {}
    try:
        stack.start()
        children = stack.children()
        assert when(lambda: started(stack) == NAMES, 60)
        yield stack
    finally:
        stack.kill()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    stack.refuse_leaks()


def when(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it comes to be true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_one_command_serves_produces_and_ends_all_it_began(stack: Stack) -> None:
    commands = list(stack.children().values())
    assert [
        sum(each in command for command in commands) for each in ("daphne", "streamworker", "-server 127.0.0.1:")
    ] == [2, 2, 1]
    assert stack.begin("s1", "/count 20 20")["status"] == "queued"
    assert when(lambda: stack.snapshot("s1")["status"] == "done")
    children = stack.children()
    assert stack.terminate() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert started(stack) == NAMES


def test_where_one_ends_all_end(stack: Stack) -> None:
    children = stack.children()
    os.kill(next(pid for pid, command in children.items() if "streamworker" in command), signal.SIGKILL)
    assert stack.process is not None and stack.process.wait(20) == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert "ended with -9; ending all" in stack.log_text()
