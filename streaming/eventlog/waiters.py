"""Who waits for a log to grow: a future each, and one timer for all of them.

A timer for each wait took a quarter of a process with thousands of readers, who wait anew after every event.
"""

from __future__ import annotations

import asyncio


class Waiters:
    """Those who wait at the end of one log, in one event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[bool]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, seconds: float) -> bool:
        """Wait for ``wake``; False where it did not come within ``seconds``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while loop.time() < deadline:
            waiter = loop.create_future()
            self._waiting.add(waiter)
            self._look_by(loop, deadline)
            try:
                if await waiter:
                    return True
            finally:
                self._waiting.discard(waiter)
        return False

    def wake(self) -> None:
        """End all waits."""
        self._end_all(woken=True)

    def _look_by(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """One that looks sooner is left as it is: who is not due then waits on."""
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        self._end_all(woken=False)

    def _end_all(self, *, woken: bool) -> None:
        waiting, self._waiting = self._waiting, set()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(woken)
