"""The reader: replay after a cursor, then tail, to the terminal event or the connection's limit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack

from streaming.conf import settings
from streaming.errors import LogGone
from streaming.eventlog.base import EventLog
from streaming.sse import KEEP_ALIVE

logger = logging.getLogger("streaming.reader")


class Reader:
    """The body of one response: an asynchronous iterator of pages of frames.

    It holds a cursor, never a queue, and no thread or connection while it waits. An object with a
    synchronous, idempotent ``close()``, because Django closes that, and not a generator, when a client
    leaves. ``end`` and ``closed``: as ``EventLog.follow`` takes them. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        log: EventLog,
        stream: int,
        after: int,
        *,
        end: int = 0,
        closed: bool = False,
        opening: bytes,
        on_close: Callable[[Reader], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = stream
        self.after = after
        self._log = log
        self._opening = opening
        self._on_close = on_close
        self._clock = clock
        self._deadline = clock() + settings.STREAM_CONNECTION_SECONDS
        self._room = settings.STREAM_CONNECTION_BYTES
        self.reason = "left"
        """Why it ended; see ``metrics.READERS_DROPPED``. ``terminal`` where it came to the stream's end."""
        self._over = False
        self._closed = False
        self._unread = True
        self._loop = asyncio.get_running_loop()
        self._held = ExitStack()
        self._follower = self._held.enter_context(log.follow(stream, end=end, closed=closed))

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        if self._opening:
            opening, self._opening = self._opening, b""
            return opening
        # A body that never really waits starves the other requests of its process.
        await asyncio.sleep(0)
        try:
            while not self._over:
                if part := await self._next_part():
                    self._room -= len(part)
                    if self._room <= 0:
                        self._finish("handed_over")
                    return part
        except LogGone:
            self._finish("log_gone")
        except Exception:
            self._finish("broke")
            # Not raised: daphne would leave the connection open, and the client waiting.
            logger.exception("reader broke")
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopAsyncIteration

    async def _next_part(self) -> bytes:
        """The next page, a comment where nothing came for a while, or nothing where the connection's time is up."""
        if not self._unread and not await self._wait():
            self._check_time()
            return b"" if self._over else KEEP_ALIVE
        page = await self._log.read(self.stream, self.after)
        self._unread = False
        if page is None:
            return b""
        self.after = page.last_event_id
        if page.closes:
            self._finish("terminal")
        self._check_time()
        return page.frames

    def _check_time(self) -> None:
        if self._clock() >= self._deadline:
            self._finish("handed_over")

    def _finish(self, reason: str) -> None:
        """No more after this; the first reason is the reason."""
        if not self._over:
            self._over, self.reason = True, reason

    async def _wait(self) -> bool:
        left = self._deadline - self._clock()
        return left > 0 and await self._follower.wait(self.after, min(left, settings.STREAM_HEARTBEAT_SECONDS))

    def end(self) -> None:
        """End the response cleanly at the next chance: the client resumes elsewhere."""
        self._finish("ended")
        self._follower.wake()

    def close(self) -> None:
        """Let go of the stream. Django may call this in a thread, and what is let go of belongs to the loop."""
        if self._closed:
            return
        self._closed = self._over = True
        if _is_running(self._loop):
            self._let_go()
        else:
            self._loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        self._held.close()
        self._on_close(self)

    async def aclose(self) -> None:
        """As ``close``; what ``contextlib.aclosing`` calls."""
        self.close()


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is called from within ``loop``."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
