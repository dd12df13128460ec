"""The provider of the rig: the scripted upstream in a process of its own. No fault reaches it, so its count is true."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from tests.history import Call
from tests.servers import NO_CERTIFICATES, ROOT
from tests.upstream import Call as Recorded
from tests.upstream import Script

PROMPT_TOKENS = 11


@dataclass(frozen=True)
class Answer:
    """What a call is to answer: so many deltas, a pause before each, and a usage that is the stream's alone."""

    stream: str
    count: int
    delay_ms: int

    @property
    def message(self) -> str:
        """The prompt that asks for it."""
        usage = {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": self.count,
            "total_tokens": PROMPT_TOKENS + self.count,
        }
        return json.dumps({"count": self.count, "delay_ms": self.delay_ms, "mark": f"{self.stream}/", "usage": usage})


class Provider:
    """Listens at an address from ``start`` to ``stop``."""

    def __init__(self, address: str, folder: Path) -> None:
        self.url = ""
        self._address = address
        self._log = folder / "calls.jsonl"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.upstream", "--host", self._address, "--log", str(self._log)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def calls(self) -> list[Call]:
        """All calls so far."""
        address = self.url.removesuffix("/v1") + "/calls"
        answer = httpx.get(address, timeout=60, trust_env=False, verify=NO_CERTIFICATES)
        return [_call(Recorded(**values)) for values in answer.json()]


def _call(call: Recorded) -> Call:
    """Streams of the rig name themselves in their system prompt, and say in their message what they want to hear."""
    stream = str(call.body["messages"][0]["content"])
    plain = Call(stream, call.status, call.time, call.ended_at)
    with suppress(ValueError):
        asked: dict[str, Any] = json.loads(call.message)
        usage = (asked["usage"]["prompt_tokens"], asked["usage"]["completion_tokens"])
        return replace(plain, text="".join(Script.from_dict(asked).deltas()), usage=usage)
    return plain
