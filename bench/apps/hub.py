"""Bare ASGI: one publisher in the process, any number of readers. No framework, no log, nothing durable.

``GET /go`` starts the publisher, which publishes flat out: it yields to the readers after each event, and each frame
is a write. With ``HUB_JOINED=1`` it does as the service's demo provider and reader do: it yields after 100 events, and
a reader gets what it lacks in one write, of at most 64 KiB.
``GET /replay`` sends 1,000 frames, joined, from memory. ``GET /tick`` sends a stamped event every 2 s.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JOINED = os.environ.get("HUB_JOINED") == "1"
PAGE = 64 * 1024
KEPT = 4096
BATCH = 100 if JOINED else 1
TICK_SECONDS = 2.0
HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


def frame(number: int, content: str) -> bytes:
    """As the service makes it."""
    return (
        f"event: message_chunk\nid: {number}\nretry: 10000\n"
        f'data: {{"content":"{content}","tokens":1,"cost_usd":6e-07}}\n\n'
    ).encode()


REPLAY = b"".join(frame(number, f"{number + 1} ") for number in range(1000))


class Hub:
    """The newest frames, and one future for all who wait for the next."""

    def __init__(self) -> None:
        self.frames: dict[int, bytes] = {}
        self.end = 0
        self._grown: asyncio.Future[None] | None = None
        self.publisher: asyncio.Task[None] | None = None

    async def publish(self) -> None:
        """Events without end, as fast as the readers take their turns."""
        while True:
            for _ in range(BATCH):
                self.frames[self.end] = frame(self.end, f"{self.end + 1} ")
                self.frames.pop(self.end - KEPT, None)
                self.end += 1
            if self._grown is not None:
                self._grown.set_result(None)
                self._grown = None
            await asyncio.sleep(0)

    async def wait(self) -> None:
        """Until there is more."""
        if self._grown is None:
            self._grown = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._grown)

    def page(self, place: int) -> tuple[bytes, int]:
        """What a reader at ``place`` gets next, and its place then."""
        if not JOINED:
            return self.frames[place], place + 1
        parts, size = [], 0
        while place < self.end and size < PAGE:
            parts.append(self.frames[place])
            size += len(parts[-1])
            place += 1
        return b"".join(parts), place


hub = Hub()


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Four paths; see the module."""
    if scope["type"] != "http":
        return
    path = scope["path"]
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    if path == "/go":
        hub.publisher = hub.publisher or asyncio.create_task(hub.publish())
        await send({"type": "http.response.body", "body": b": going\n\n"})
    elif path == "/stop":
        if hub.publisher is not None:
            hub.publisher.cancel()
            hub.publisher = None
        await send({"type": "http.response.body", "body": b": stopped\n\n"})
    elif path == "/replay":
        for start in range(0, len(REPLAY), PAGE):
            await send({"type": "http.response.body", "body": REPLAY[start : start + PAGE], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await _until_gone(receive, tick(send) if path == "/tick" else follow(send))


async def follow(send: Send) -> None:
    """Every event from now on."""
    place = hub.end
    await send({"type": "http.response.body", "body": b": ok\n\n", "more_body": True})
    while True:
        while place < hub.end:
            place = max(place, hub.end - KEPT)
            body, place = hub.page(place)
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await hub.wait()


async def tick(send: Send) -> None:
    """A stamped event every 2 s."""
    await send({"type": "http.response.body", "body": b": ok\n\n", "more_body": True})
    number = 0
    while True:
        await asyncio.sleep(TICK_SECONDS)
        body = frame(number, f"@{time.monotonic_ns()}@ ")
        await send({"type": "http.response.body", "body": body, "more_body": True})
        number += 1


async def _until_gone(receive: Receive, sending: Awaitable[None]) -> None:
    task = asyncio.ensure_future(sending)
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
