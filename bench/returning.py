"""Readers that come back: with the delays of the browser's client, to whichever process is in rotation."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bench.service import Service

BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 5.0)
JITTER = 0.1
"""Of ``static/magic/backoff.js``."""


@dataclass
class Rotation:
    """The web processes that a balancer sends requests to, in turns."""

    services: list[Service]
    _turn: int = 0

    def next(self) -> Service:
        """Whose turn it is."""
        self._turn += 1
        return self.services[self._turn % len(self.services)]


@dataclass
class Returning:
    """One reader. ``gaps``: from the last event before a connection ended to the first one after it."""

    stream_id: str
    last_event_id: int = -1
    longest: float = 0.0
    """Between any two events."""
    gaps: list[float] = field(default_factory=list)
    broken: str = ""
    """Where an event came twice, or not at all."""
    _seen_at: float | None = None

    async def read(self, rotation: Rotation) -> None:
        """Until cancelled."""
        attempts = 0
        while True:
            before, after = self._seen_at, self.last_event_id
            with suppress(OSError):
                await self._connect(rotation.next(), returning=before is not None)
            attempts = 0 if self.last_event_id > after else attempts + 1
            step = BACK_OFF_SECONDS[min(attempts, len(BACK_OFF_SECONDS) - 1)]
            await asyncio.sleep(step * random.uniform(1 - JITTER, 1 + JITTER))

    async def _connect(self, service: Service, *, returning: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        try:
            # HTTP/1.0: the body is not in parts, and ends with the connection.
            writer.write(service.read_request(self.stream_id, self.last_event_id).replace(b"HTTP/1.1", b"HTTP/1.0"))
            first = returning
            async for line in reader:
                if line.startswith(b"id: "):
                    self._take(int(line[4:]), first=first)
                    first = False
        finally:
            writer.close()

    def _take(self, event_id: int, *, first: bool) -> None:
        now = time.monotonic()
        if event_id != self.last_event_id + 1:
            self.broken = self.broken or f"{self.stream_id}: {event_id} after {self.last_event_id}"
        if self._seen_at is not None:
            self.longest = max(self.longest, now - self._seen_at)
            if first:
                self.gaps.append(now - self._seen_at)
        self.last_event_id, self._seen_at = event_id, now


async def read_all(readers: Sequence[Returning], rotation: Rotation, over: asyncio.Event) -> None:
    """All of them, until it is over."""
    tasks = [asyncio.create_task(reader.read(rotation)) for reader in readers]
    await over.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
