"""The clients of the rig: so many streams at any time, each read to its end through whatever happens."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from tests.faults.conftest import MODEL
from tests.faults.wire import Tape, tape_one
from tests.history import Reading, Request
from tests.rig.faults import Damage
from tests.rig.provider import Answer
from tests.servers import NO_CERTIFICATES

STALL_SECONDS = 12
"""A connection that brings not even a comment for so long is given up; comments come every four seconds."""
HUNG_SECONDS = 90
"""A stream that gets nowhere for so long hangs."""
RETRY_SECONDS = 0.5
CANCEL_SECONDS = 20
CALM_BEFORE, CALM_AFTER = 8.0, 8.0
"""Where harm was done so shortly before or after a cancel, no time is promised."""
TELLING_HEADERS = frozenset({"date", "x-request-id"})


@dataclass(frozen=True)
class Shape:
    """``seconds``: how long answers take, from and to. ``delay_ms`` between two deltas."""

    streams: int
    seconds: tuple[float, float]
    delay_ms: int = 1000


@dataclass
class Load:
    """``urls``: of the web processes. ``key``: an API key. ``run`` ends when all streams have."""

    urls: Sequence[str]
    key: str
    shape: Shape
    seed: int
    damage: Damage
    readings: list[Reading] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)
    """What no client should meet, and no history shows."""
    seen: Counter[str] = field(default_factory=Counter)
    """What happened, how often."""
    live: set[str] = field(default_factory=set)
    lived: list[int] = field(default_factory=list)
    """How many streams were live, second by second."""

    async def run(self, seconds: float) -> None:
        """Keep the streams coming for so long, and read them all to their end."""
        until = time.monotonic() + seconds
        async with self._asker() as asker, asyncio.TaskGroup() as group:
            counting = group.create_task(self._count())
            looking = group.create_task(Stranger(self, asker, random.Random(f"stranger {self.seed}")).look(until))
            users = [
                group.create_task(User(self, asker, number, random.Random(f"user {number} {self.seed}")).run(until))
                for number in range(self.shape.streams)
            ]
            await asyncio.wait([looking, *users])
            counting.cancel()

    def _asker(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.key}", "X-Request-Id": "the-same"}
        return httpx.AsyncClient(
            headers=headers,
            timeout=CANCEL_SECONDS,
            trust_env=False,
            verify=NO_CERTIFICATES,
            # One that was kept may be closed by its server just when it is used again.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def _count(self) -> None:
        while True:
            self.lived.append(len(self.live))
            await asyncio.sleep(1)


@dataclass
class User:
    """Starts one stream after the other, and reads each."""

    load: Load
    asker: httpx.AsyncClient
    number: int
    chance: random.Random

    @property
    def name(self) -> str:
        return f"u{self.number}"

    async def run(self, until: float) -> None:
        """Until then no stream ends for want of another."""
        ramp = min(10.0, (until - time.monotonic()) / 5)
        await asyncio.sleep(self.chance.uniform(0, ramp))
        turn = 0
        while (left := until - time.monotonic()) > 0:
            await self._live_through(f"s{self.number}.{turn}", left)
            turn += 1

    async def _live_through(self, stream: str, left: float) -> None:
        shape, chance = self.load.shape, self.chance
        seconds = min(chance.uniform(*shape.seconds), max(left, shape.seconds[0]))
        answer = Answer(stream, max(1, round(seconds * 1000 / shape.delay_ms)), shape.delay_ms)
        asked = {"user_id": self.name, "stream_id": stream, "message": answer.message, "model": MODEL, "system": stream}
        self.load.requests.append(Request(stream, "start", 201))
        self.load.live.add(stream)
        beside: list[asyncio.Task[None]] = []
        try:
            if not await self._start(asked):
                return
            if chance.random() < 0.1:
                beside.append(asyncio.create_task(self._read_later(stream, chance.uniform(0, seconds))))
            if chance.random() < 0.05:
                beside.append(asyncio.create_task(self._cancel_later(stream, chance.uniform(0, seconds))))
            await self._read(stream)
            if chance.random() < 0.1:
                await self._read(stream)
        finally:
            self.load.live.discard(stream)
        await asyncio.gather(*beside)

    async def _start(self, asked: dict[str, str]) -> bool:
        """Ask for it until it is there, here and there; now and then of both at once, or once too often."""
        deadline = time.monotonic() + HUNG_SECONDS
        urls = self.chance.sample(self.load.urls, len(self.load.urls))
        at_once = self.chance.random() < 0.1
        for turn in range(1000):
            asking = [Tape(url, asked) for url in (urls if at_once else [urls[turn % len(urls)]])]
            await asyncio.gather(*(self._tape(tape, method="POST") for tape in asking))
            statuses = {tape.status for tape in asking}
            self.load.seen.update(f"start {status}" for status in statuses)
            if statuses & {200, 201}:
                return True
            if odd := statuses - {None, 503}:
                told = [tape.body[:200] for tape in asking]
                self.load.oddities.append(f"{asked['stream_id']}: a start was told {odd} {told}")
                return False
            if time.monotonic() > deadline:
                self.load.oddities.append(f"{asked['stream_id']}: hung, it could not be started")
                return False
            await asyncio.sleep(RETRY_SECONDS * self.chance.uniform(0.5, 1.5))
        return False

    async def _read(self, stream: str) -> None:
        """Read it from its beginning to its end, at whichever process, through connections that break."""
        after, moved = -1, time.monotonic()
        while True:
            parameters = {"user_id": self.name, "stream_id": stream, "last_event_id": after}
            tape = Tape(self.chance.choice(self.load.urls), parameters)
            leaves = self.chance.randint(1, 200) if self.chance.random() < 0.2 else None
            await self._tape(tape, frames=leaves)
            if tape.status == 200:
                frames = tuple(frame.raw for frame in tape.frames)
                ended = tape.ended or "cut"
                if ended == "clean" and not tape.closes and self.load.damage.hands_over:
                    ended = "handed over"
                self.load.readings.append(Reading(stream, after, frames, ended))
                self.load.seen[f"read, {ended}"] += 1
                if tape.last_event_id > after:
                    after, moved = tape.last_event_id, time.monotonic()
                if tape.closes:
                    return
            else:
                self.load.seen[f"read {tape.status}"] += 1
                if tape.status not in {None, 503}:
                    told = f"{tape.status} {tape.body[:200]!r}"
                    self.load.oddities.append(f"{stream}: a reader after {after} was told {told}")
                    return
            if time.monotonic() - moved > HUNG_SECONDS:
                self.load.oddities.append(f"{stream}: hung, nothing after {after} for {HUNG_SECONDS} s")
                return
            if not tape.frames:
                await asyncio.sleep(RETRY_SECONDS * self.chance.uniform(0.5, 1.5))

    async def _tape(self, tape: Tape, *, frames: int | None = None, method: str = "GET") -> None:
        """Fill a tape; a connection that is silent is given up."""
        loop, headers = asyncio.get_running_loop(), {"Authorization": f"Bearer {self.load.key}"}

        def heard() -> None:
            if not limit.expired():
                limit.reschedule(loop.time() + STALL_SECONDS)

        try:
            async with asyncio.timeout(STALL_SECONDS) as limit:
                await tape_one(tape, heard, headers=headers, frames=frames, method=method)
        except TimeoutError:
            tape.ended = "cut"
            self.load.seen["stalled"] += 1

    async def _read_later(self, stream: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._read(stream)

    async def _cancel_later(self, stream: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        url, at, status = self.chance.choice(self.load.urls), time.time(), 0
        try:
            answer = await self.asker.delete(f"{url}/api/v1/stream/{stream}", params={"user_id": self.name})
            status = answer.status_code
        except httpx.TransportError:
            pass
        self.load.seen[f"cancel {status or None}"] += 1
        self.load.requests.append(Request(stream, "cancel", status, at, self.name))


@dataclass
class Stranger:
    """Once a second resumes a stream of somebody else's, and one that nobody has."""

    load: Load
    asker: httpx.AsyncClient
    chance: random.Random

    async def look(self, until: float) -> None:
        turn = 0
        while time.monotonic() < until:
            await asyncio.sleep(1)
            if not self.load.live:
                continue
            turn += 1
            who, theirs = f"stranger{turn}", self.chance.choice(sorted(self.load.live))
            url = self.chance.choice(self.load.urls)
            pair = [await self._ask(url, who, theirs, False), await self._ask(url, who, f"nobodys{turn}", None)]
            if all(request.status in range(200, 500) for request in pair):
                self.load.requests += pair
                self.load.seen["strangers"] += 1

    async def _ask(self, url: str, who: str, stream: str, owned: bool | None) -> Request:
        parameters = {"user_id": who, "stream_id": stream, "last_event_id": "3", "message": "hello", "model": MODEL}
        try:
            answer = await self.asker.get(f"{url}/api/v1/stream", params=parameters)
        except httpx.TransportError:
            return Request(stream, "resume", 0, who=who, owned=owned)
        headers = sorted((name, value) for name, value in answer.headers.items() if name not in TELLING_HEADERS)
        told = json.dumps([headers, answer.text])
        return Request(stream, "resume", answer.status_code, time.time(), who, owned, "GET", told)
