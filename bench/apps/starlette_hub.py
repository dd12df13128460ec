"""sse-starlette: the hub of ``hub.py``, its readers served by ``EventSourceResponse``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

KEPT = 4096


class Hub:
    """The newest events, and one future for all who wait for the next."""

    def __init__(self) -> None:
        self.events: dict[int, dict[str, Any]] = {}
        self.end = 0
        self._grown: asyncio.Future[None] | None = None
        self.publisher: asyncio.Task[None] | None = None

    async def publish(self) -> None:
        """Events without end, as fast as the readers take their turns."""
        while True:
            data = f'{{"content":"{self.end + 1} ","tokens":1,"cost_usd":6e-07}}'
            self.events[self.end] = {"event": "message_chunk", "id": str(self.end), "retry": 10000, "data": data}
            self.events.pop(self.end - KEPT, None)
            self.end += 1
            if self._grown is not None:
                self._grown.set_result(None)
                self._grown = None
            await asyncio.sleep(0)

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Every event from now on."""
        place = self.end
        while True:
            while place < self.end:
                place = max(place, self.end - KEPT)
                yield self.events[place]
                place += 1
            if self._grown is None:
                self._grown = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._grown)


hub = Hub()


async def go(request: Request) -> PlainTextResponse:
    """Start the publisher."""
    hub.publisher = hub.publisher or asyncio.create_task(hub.publish())
    return PlainTextResponse("going")


async def stop(request: Request) -> PlainTextResponse:
    """Stop it."""
    if hub.publisher is not None:
        hub.publisher.cancel()
        hub.publisher = None
    return PlainTextResponse("stopped")


async def events(request: Request) -> EventSourceResponse:
    """Follow it."""
    return EventSourceResponse(hub.follow(), sep="\n")


application = Starlette(routes=[Route("/go", go), Route("/stop", stop), Route("/events", events)])
