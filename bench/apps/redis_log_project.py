"""Appends to many logs in Redis at once, and prints what it took: by the service's log, or by raw XADD.

    redis_log_project.py log|pipeline|packed STREAMS EVENTS ROUND_TRIPS

Each of STREAMS logs gets EVENTS with an append, and its next ones once they are durable, as a producer does it. So a
round trip carries an append of each log; the raw ones pipeline the same entries, in as many round trips:

* log: ``RedisEventLog.append``, in the environment of the service
* pipeline: redis-py's pipeline of XADD
* packed: XADD packed by hiredis, on a bare connection: the least that Python can do
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import django

django.setup()

import hiredis
import uvloop
from redis.asyncio import Redis

from streaming import claims, lease
from streaming.claims import Claim, Owner
from streaming.eventlog.base import Append, Outcome
from streaming.eventlog.redis import RedisEventLog
from streaming.events import Event, EventType
from streaming.params import Ask
from streaming.store import Store

Fill = Callable[[int, int, int], Awaitable[None]]
"""Takes the first event id, the events of an append, and the number of round trips."""

URL = os.environ["REDIS_URL"]
WARM_UP = 20
DATA = '{"content":" word","tokens":1,"cost_usd":6e-07}'
ELAPSED_MS = 12345
ENTRY: dict[Any, Any] = {"t": 1, "d": DATA, "m": ELAPSED_MS}


@asynccontextmanager
async def log(streams: int) -> AsyncIterator[Fill]:
    """Ours, with the streams' heads in SQL."""
    store = Store()
    store.start()
    redis = RedisEventLog(store, url=URL)
    process = (await store.write(lease.register, "web")).pk
    keys = [(await store.write(claims.claim_all, _claim(number, process))).key for number in range(streams)]

    async def fill_one(key: int, first: int, events: int, round_trips: int) -> None:
        for start in range(first, first + events * round_trips, events):
            batch = [
                Event(number, EventType.MESSAGE_CHUNK, DATA, ELAPSED_MS) for number in range(start, start + events)
            ]
            outcome = await redis.append(Append(key, 1, batch))
            assert outcome is Outcome.APPLIED, outcome

    async def fill(first: int, events: int, round_trips: int) -> None:
        await asyncio.gather(*(fill_one(key, first, events, round_trips) for key in keys))

    async with redis.run():
        yield fill
    await store.stop_writing()
    await store.close()


@asynccontextmanager
async def pipeline(streams: int) -> AsyncIterator[Fill]:
    """redis-py, as its documentation has it."""
    async with Redis.from_url(URL) as redis:

        async def fill(first: int, events: int, round_trips: int) -> None:
            for start in range(first, first + events * round_trips, events):
                async with redis.pipeline(transaction=False) as commands:
                    for stream in range(streams):
                        for number in range(start, start + events):
                            commands.xadd(f"pipeline:{stream}", dict(ENTRY), id=f"{number + 1}-0")
                    await commands.execute()

        yield fill


@asynccontextmanager
async def packed(streams: int) -> AsyncIterator[Fill]:
    """No client: bytes out, answers counted."""
    port = int(URL.rpartition(":")[2].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = hiredis.Reader()
    fields = [part for field in ENTRY.items() for part in field]

    async def fill(first: int, events: int, round_trips: int) -> None:
        for start in range(first, first + events * round_trips, events):
            for stream in range(streams):
                for number in range(start, start + events):
                    command: Any = ("XADD", f"packed:{stream}", f"{number + 1}-0", *fields)
                    writer.write(hiredis.pack_command(command))
            for _ in range(streams * events):
                while isinstance(answer := answers.gets(), bool):
                    answers.feed(await reader.read(65536))
                assert isinstance(answer, bytes), answer

    yield fill
    writer.close()


CONTENDERS: dict[str, Callable[[int], AbstractAsyncContextManager[Fill]]] = {
    "log": log,
    "pipeline": pipeline,
    "packed": packed,
}


async def main(name: str, streams: int, events: int, round_trips: int) -> None:
    async with CONTENDERS[name](streams) as fill:
        await fill(0, events, WARM_UP)
        cpu, wall = time.process_time(), time.perf_counter()
        await fill(WARM_UP * events, events, round_trips)
        taken = {"cpu_s": time.process_time() - cpu, "seconds": time.perf_counter() - wall}
    print(json.dumps({"events": streams * events * round_trips, **taken}))


def _claim(number: int, process: int) -> Claim:
    return Claim(
        owner=Owner("bench", "bench"),
        stream_id=f"log{number}",
        ask=Ask(asked={"message": "bench"}),
        model="demo",
        provider="demo",
        prices=None,
        prompt_tokens=1,
        process=process,
    )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], *map(int, sys.argv[2:])))
