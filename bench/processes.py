"""Processes under measurement: pinned to a core, and asked of /proc what they use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 180
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
"""Of the environment: nothing that would configure a contender."""


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**own: str) -> dict[str, str]:
    """A small environment for a contender."""
    return {**{name: os.environ[name] for name in KEPT if name in os.environ}, **own}


class Process:
    """A process on ``core`` that listens on ``port``; its output goes to ``log``."""

    def __init__(
        self, command: Sequence[str | Path], *, core: int, port: int, log: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.port = port
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(core), *command], cwd=cwd, env=env, stdout=output, stderr=output
            )
        self._wait_until_it_listens()

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        """User and system time of the process and all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self) -> float:
        """Resident memory."""
        return self._status("VmRSS") / 1024

    def threads(self) -> int:
        """How many threads it has."""
        return self._status("Threads")

    def begin_to_stop(self) -> None:
        """SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = 1) -> None:
        """SIGTERM, and SIGKILL to one that does not end by it."""
        self.begin_to_stop()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log_text(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-4000:]

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise LookupError(name)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"ended with {self._process.returncode}:\n{self.log_text()}")
            if self._answers():
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"does not listen after {START_SECONDS} s:\n{self.log_text()}")
