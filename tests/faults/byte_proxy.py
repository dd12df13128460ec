"""A TCP proxy that stalls, trickles, cuts and resets, wherever and whenever a test says.

::

    with ByteProxy(server.port) as proxy:
        client.read(proxy.url)          # as fast as the network
        proxy.reset_after(1000)         # the next connection is reset after so many bytes of answer
        proxy.stall()                   # nothing passes any more, in either direction
        proxy.go()                      # everything passes again
        proxy.reset_all()               # reset what is open now
        proxy.refuse(answer)            # the server is not asked: every connection gets these bytes

It knows nothing of HTTP, so it stands as well in front of a database. Its methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK = 65536


@dataclass
class Harm:
    """What happens to one connection: it ends after ``limit`` bytes of answer, by RST or by FIN."""

    limit: int | None = None
    reset: bool = False


class Listener:
    """A listening socket and an event loop in a thread; subclasses say what becomes of a connection."""

    scheme = "http"

    def __init__(self, target_port: int, *, target_host: str = "127.0.0.1") -> None:
        self.target = (target_host, target_port)
        self.connections = 0
        """How many connections have come so far."""
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def reset_all(self) -> None:
        """Reset every connection that is open now."""
        self._call(self._reset_all)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Deal with connection ``number``, from 1."""
        raise NotImplementedError

    def _call(self, work: Callable[[], object]) -> None:
        """Run something in the loop's thread, and wait for it."""
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._socket, limit=2**20))
        try:
            self._loop.run_forever()
        finally:
            server.close()
            self._loop.run_until_complete(self._drop())
            self._loop.close()

    async def _drop(self) -> None:
        """End what is open, also what has only just come, and let closed transports finish in the turns they need."""
        for _ in range(5):
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)

    def _reset_all(self) -> None:
        for writer in self._open.values():
            reset(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """No coroutine: one that is cancelled before its first step would leave its connection open."""
        self.connections += 1
        task = self._loop.create_task(self._serve(self.connections, reader, writer))
        self._open[task] = writer
        task.add_done_callback(lambda over: self._open.pop(over).close())

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, asyncio.CancelledError):
            await self.serve(number, reader, writer)


class ByteProxy(Listener):
    """See the module. ``scheme`` is only for ``url``."""

    def __init__(self, target_port: int, *, target_host: str = "127.0.0.1", scheme: str = "http") -> None:
        self.scheme = scheme
        super().__init__(target_port, target_host=target_host)
        self._harms: deque[Harm] = deque()
        self._flows = asyncio.Event()
        self._flows.set()
        self._piece, self._pause = CHUNK, 0.0
        self._refusal: bytes | None = None
        self.refused = 0
        """How many connections got a refusal."""
        self._token: bytes | None = None
        self._token_met = threading.Event()

    def stall(self) -> None:
        """Let nothing pass, and keep the connections open."""
        self._call(self._flows.clear)

    def go(self) -> None:
        """Let all pass again."""
        self._call(self._flows.set)

    def refuse(self, answer: bytes | None) -> None:
        """Answer every connection that comes with these bytes, and close it; None: the server answers again."""
        self._refusal = answer

    def trickle(self, size: int, pause: float = 0.0) -> None:
        """Pass answers on in pieces of ``size`` bytes, ``pause`` seconds apart."""
        self._piece, self._pause = size, pause

    def cut_after(self, *sizes: int) -> None:
        """Close the next connections (FIN), one for each size, after so many bytes of answer."""
        self._harms.extend(Harm(size) for size in sizes)

    def reset_after(self, *sizes: int) -> None:
        """Reset the next connections (RST), one for each size, after so many bytes of answer."""
        self._harms.extend(Harm(size, reset=True) for size in sizes)

    def lose_reply_to(self, token: bytes) -> None:
        """Pass on the next request that holds ``token``, wait for its answer, swallow it, and reset."""
        self._token_met.clear()
        self._token = token

    def wait_for_lost_reply(self, timeout: float = 30) -> None:
        """Until ``lose_reply_to`` has done its harm. Raises AssertionError."""
        assert self._token_met.wait(timeout), "the request never came"

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusal is not None:
            await self._refuse(reader, writer, self._refusal)
            return
        harm = self._harms.popleft() if self._harms else Harm()
        there, target = await asyncio.open_connection(*self.target)
        lost = asyncio.Event()
        ways = (
            asyncio.ensure_future(self._pass_requests(reader, target, lost)),
            asyncio.ensure_future(self._pass_answers(there, writer, harm, lost)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if not ways[1].done():
                await asyncio.wait(ways, timeout=0.05)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            if harm.reset or lost.is_set():
                reset(writer)
            target.close()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.refused += 1
        writer.write(answer)
        await writer.drain()

    async def _pass_requests(
        self, reader: asyncio.StreamReader, target: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        while part := await reader.read(CHUNK):
            await self._flows.wait()
            if self._token is not None and self._token in part:
                self._token = None
                lost.set()
            target.write(part)
            await target.drain()

    async def _pass_answers(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, harm: Harm, lost: asyncio.Event
    ) -> None:
        left = harm.limit
        while left is None or left > 0:
            size = min(self._piece, CHUNK if left is None else left)
            if not (part := await there.read(size)):
                return
            await self._flows.wait()
            if lost.is_set():
                self._token_met.set()
                return
            writer.write(part)
            await writer.drain()
            if self._pause:
                await asyncio.sleep(self._pause)
            left = None if left is None else left - len(part)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST."""
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
