"""The Redis log of a process that dies when it would hand a start over."""

from __future__ import annotations

import os
import signal
from typing import Any

from streaming.eventlog.redis import RedisEventLog
from streaming.eventlog.redis_starts import RedisHandover


class DyingHandover(RedisHandover):
    """``kill -9`` of its own process, with a start that is committed and not handed over."""

    async def put(self, *tokens: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class DyingLog(RedisEventLog):
    """The log as it is, but for the handover."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.handover = DyingHandover(self._store, self._link, "magic")
