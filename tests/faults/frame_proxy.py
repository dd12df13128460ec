"""An HTTP proxy that knows frames: it drops, repeats, reorders and delays whole events, by seed.

::

    with FrameProxy(server.port, FrameFaults(seed=7, loss=0.2)) as proxy:
        page.goto(proxy.url + "/magic")

Whatever is no event stream passes as it is. Comments and ``id: -1`` blocks of a stream pass as well. Each
connection has its own sequence of faults, made from the seed and the connection's number. ``faults`` may be
replaced at any time; it counts for connections that come later.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from tests.faults.byte_proxy import CHUNK, Listener, reset

EVENT_ID = re.compile(rb"^id: ([0-9]+)$", re.MULTILINE)


@dataclass(frozen=True)
class FrameFaults:
    """Shares are from 0 to 1. ``cut_after_event`` ends the first connection that passes that event id, by RST."""

    seed: int = 0
    loss: float = 0.0
    duplicates: float = 0.0
    reorder: float = 0.0
    """Share of frames that are held back behind one to three later ones."""
    delay: float = 0.0
    """Seconds before each frame."""
    cut_after_event: int | None = None


@dataclass
class Counts:
    """What the proxy has done so far."""

    passed: int = 0
    lost: int = 0
    repeated: int = 0
    held_back: int = 0
    cut: int = 0


class FrameProxy(Listener):
    """See the module."""

    def __init__(self, target_port: int, faults: FrameFaults | None = None, *, target_host: str = "127.0.0.1") -> None:
        super().__init__(target_port, target_host=target_host)
        self.faults = faults or FrameFaults()
        self.counts = Counts()
        self.requests: list[str] = []
        """The request lines, as they came."""

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, target = await asyncio.open_connection(*self.target, limit=2**20)
        try:
            await self._pass_request(reader, target)
            head = await there.readuntil(b"\r\n\r\n")
            is_stream = b"text/event-stream" in head and b"chunked" in head.lower()
            writer.write(_closing(head))
            answer = asyncio.ensure_future(
                self._pass_frames(number, there, writer) if is_stream else _pass_bytes(there, writer)
            )
            left = asyncio.ensure_future(_until_left(reader))
            try:
                await asyncio.wait((answer, left), return_when=asyncio.FIRST_COMPLETED)
            finally:
                answer.cancel()
                left.cancel()
                await asyncio.gather(answer, left, return_exceptions=True)
        finally:
            target.close()

    async def _pass_request(self, reader: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.split(b"\r\n", 1)[0].decode("latin-1"))
        length = re.search(rb"(?i)^content-length: *([0-9]+)", head, re.MULTILINE)
        body = await reader.readexactly(int(length[1])) if length else b""
        target.write(_closing(head) + body)
        await target.drain()

    async def _pass_frames(self, number: int, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        faults = self.faults
        disorder = _Disorder(faults, number, self.counts)
        async for block in _blocks(there):
            for frame in disorder.after(block):
                if faults.delay and EVENT_ID.search(frame):
                    await asyncio.sleep(faults.delay)
                writer.write(b"%x\r\n%b\r\n" % (len(frame), frame))
                await writer.drain()
                if self._cuts(frame, faults):
                    reset(writer)
                    return
        for frame in disorder.rest():
            writer.write(b"%x\r\n%b\r\n" % (len(frame), frame))
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _cuts(self, frame: bytes, faults: FrameFaults) -> bool:
        match = EVENT_ID.search(frame)
        if match is None or faults.cut_after_event != int(match[1]) or self.counts.cut:
            return False
        self.counts.cut += 1
        return True


class _Disorder:
    """The faults of one connection."""

    def __init__(self, faults: FrameFaults, number: int, counts: Counts) -> None:
        self._faults = faults
        self._chance = random.Random(f"{faults.seed} {number}")
        self._counts = counts
        self._held: list[tuple[int, bytes]] = []

    def after(self, block: bytes) -> Iterator[bytes]:
        """What is sent when a block comes: nothing, itself, itself twice, and what was held back until now."""
        if EVENT_ID.search(block) is None:
            yield block
            return
        faults, chance, counts = self._faults, self._chance, self._counts
        lost, repeated, late = (chance.random() < share for share in (faults.loss, faults.duplicates, faults.reorder))
        if lost:
            counts.lost += 1
        elif late:
            counts.held_back += 1
            self._held.append((chance.randint(1, 3), block))
        else:
            counts.passed += 1
            yield block
            if repeated:
                counts.repeated += 1
                yield block
        due = [frame for wait, frame in self._held if wait <= 0]
        self._held = [(wait - 1, frame) for wait, frame in self._held if wait > 0]
        yield from due

    def rest(self) -> list[bytes]:
        """What is still held back at the end."""
        return [frame for _, frame in self._held]


async def _blocks(there: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The blocks of an event stream in chunked transfer coding."""
    buffer = b""
    while size := int((await there.readuntil(b"\r\n")).split(b";")[0], 16):
        buffer += (await there.readexactly(size + 2))[:-2]
        while (end := buffer.find(b"\n\n")) >= 0:
            yield buffer[: end + 2]
            buffer = buffer[end + 2 :]
    await there.readuntil(b"\r\n")


async def _pass_bytes(there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await there.read(CHUNK):
        writer.write(part)
        await writer.drain()


async def _until_left(reader: asyncio.StreamReader) -> None:
    while await reader.read(CHUNK):
        pass


def _closing(head: bytes) -> bytes:
    """A head that says that the connection is for one exchange."""
    lines = [
        line for line in head.split(b"\r\n") if line and not line.lower().startswith((b"connection:", b"keep-alive:"))
    ]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])
