"""The reader's body object: closed once, wherever it is closed from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streaming.reader import Reader


class Log:
    """Tells in which thread a place at the end of a log was let go of."""

    def __init__(self) -> None:
        self.let_go: list[threading.Thread] = []

    @contextmanager
    def follow(self, stream: int, *, end: int, closed: bool) -> Iterator[None]:
        yield
        self.let_go.append(threading.current_thread())


def test_it_lets_go_on_the_loop_and_once_also_when_a_thread_closes_it() -> None:
    async def run() -> list[Reader]:
        log: Any = Log()
        closed: list[Reader] = []
        in_thread = Reader(log, 1, -1, opening=b"", on_close=closed.append)
        here = Reader(log, 2, -1, opening=b"", on_close=closed.append)
        await asyncio.to_thread(in_thread.close)
        here.close()
        await here.aclose()
        await asyncio.to_thread(in_thread.close)
        await asyncio.sleep(0)
        assert log.let_go == [threading.main_thread()] * 2
        assert set(closed) == {in_thread, here}
        return closed

    assert len(asyncio.run(run())) == 2
