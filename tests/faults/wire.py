"""Many readers at once: raw HTTP over asyncio in a thread of its own, so that a test can do harm meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from tests.frames import Frame, Parser, check_sequence

T = TypeVar("T")

CONNECT_SECONDS = 60


@dataclass
class Tape:
    """What one connection brought. ``ended``: None while it is open, then ``clean``, ``cut`` or ``left``."""

    url: str
    parameters: dict[str, Any]
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    comments: list[bytes] = field(default_factory=list)
    size: int = 0
    body: bytes = b""
    """Of an answer that is no event stream."""
    ended: str | None = None
    ended_at: float = 0.0

    @property
    def first(self) -> int:
        """The id that the first frame must have."""
        return int(self.parameters.get("last_event_id", -1)) + 1

    @property
    def last_event_id(self) -> int:
        return self.frames[-1].event_id if self.frames else self.first - 1

    @property
    def closes(self) -> bool:
        """Whether the terminal event has come."""
        return bool(self.frames) and self.frames[-1].is_terminal

    @property
    def raw(self) -> bytes:
        return b"".join(frame.raw for frame in self.frames)

    @property
    def stream_id(self) -> str:
        return str(self.parameters["stream_id"])

    def check(self) -> None:
        """Ids are contiguous from the first that was asked for; nothing follows a terminal event."""
        check_sequence(self.frames, self.first)


class Crowd:
    """Readers in the background. ``read`` gives a Tape at once; ``wait_for`` blocks until a condition holds."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="crowd", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 90) -> T:
        """Run a coroutine among the readers and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine among the readers, beside the test."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def read(self, url: str, headers: dict[str, str] | None = None, **parameters: Any) -> Tape:
        """Open a connection in the background and tape all that comes."""
        tape = Tape(url, parameters)
        self.tapes.append(tape)
        asyncio.run_coroutine_threadsafe(self._spawn(tape, headers), self._loop).result(10)
        return tape

    def leave(self, tape: Tape) -> None:
        """Close a connection from this side."""
        self._loop.call_soon_threadsafe(self._tasks[id(tape)].cancel)
        self.wait_for(lambda: tape.ended is not None)

    def wait_for(self, condition: Callable[[], bool], timeout: float = 30) -> None:
        """Until ``condition`` is true; it is looked at whenever anything came. Raises AssertionError."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout), f"not within {timeout} s: {self.describe()}"

    def wait_for_frames(self, count: int, *tapes: Tape, timeout: float = 30) -> None:
        """Until each of these tapes has so many frames."""
        self.wait_for(lambda: all(len(tape.frames) >= count for tape in tapes), timeout)

    def wait_for_end(self, *tapes: Tape, timeout: float = 30) -> None:
        """Until each of these connections is over."""
        self.wait_for(lambda: all(tape.ended is not None for tape in tapes), timeout)

    def describe(self) -> str:
        """The tapes in short, for a message."""
        return "; ".join(
            f"{tape.parameters.get('stream_id')}: {tape.status} {len(tape.frames)} frames {tape.ended}"
            for tape in self.tapes[:60]
        )

    async def _spawn(self, tape: Tape, headers: dict[str, str] | None) -> None:
        task = self._loop.create_task(tape_one(tape, self._notify, headers=headers))
        self._tasks[id(tape)] = task

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    async def _end(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


async def tape_one(
    tape: Tape,
    notify: Callable[[], None] = lambda: None,
    *,
    headers: dict[str, str] | None = None,
    frames: int | None = None,
    method: str = "GET",
) -> None:
    """Fill a tape from one request; leaves after ``frames`` frames. POST sends and wants JSON."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await _send(tape, method, headers or {})
            await _read_head(tape, reader)
        notify()
        parser = Parser(comments=tape.comments)
        async for part in _body(tape, reader):
            tape.size += len(part)
            if not tape.headers.get("content-type", "").startswith("text/event-stream"):
                tape.body += part
                continue
            for frame in parser.feed(part):
                tape.frames.append(frame)
                tape.times.append(time.monotonic())
                if frames is not None and len(tape.frames) >= frames:
                    tape.ended = "left"
                    return
            notify()
        tape.ended = "clean"
    except (OSError, EOFError, TimeoutError):
        tape.ended = "cut"
    except asyncio.CancelledError:
        tape.ended = "left"
        raise
    finally:
        tape.ended_at = time.monotonic()
        tape.ended = tape.ended or "broken"
        if writer is not None:
            writer.transport.abort()
        notify()


async def gather(*work: Awaitable[T]) -> Sequence[T]:
    """``asyncio.gather`` as a coroutine."""
    return await asyncio.gather(*work)


def replay(urls: Iterable[str], **parameters: Any) -> list[Tape]:
    """Read a stream to its end from each of these servers, one after the other."""
    tapes = [Tape(url, parameters) for url in urls]
    for tape in tapes:
        asyncio.run(asyncio.wait_for(tape_one(tape), 60))
        assert tape.ended == "clean" and tape.closes, (tape.status, tape.ended, tape.last_event_id)
        tape.check()
    return tapes


async def _send(tape: Tape, method: str, headers: dict[str, str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(tape.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**20)
    query, body = urlencode(tape.parameters), b""
    lines = {"Host": address.netloc, "Connection": "close", **headers}
    if method == "POST":
        query, body = "", json.dumps(tape.parameters).encode()
        lines |= {"Content-Type": "application/json", "Accept": "application/json", "Content-Length": str(len(body))}
    head = [f"{method} /api/v1/stream?{query} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    return reader, writer


async def _read_head(tape: Tape, reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    for line in head[1:]:
        if line:
            name, _, value = line.partition(":")
            tape.headers[name.lower()] = value.strip()
    tape.status = int(head[0].split(" ")[1])


async def _body(tape: Tape, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if tape.headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    elif "content-length" in tape.headers:
        yield await reader.readexactly(int(tape.headers["content-length"]))
    elif tape.status != 204:
        with suppress(EOFError):
            while part := await reader.read(65536):
                yield part
