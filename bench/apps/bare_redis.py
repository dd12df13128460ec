"""The least that a token's way over Redis takes: XADD by one process, XREAD BLOCK by another, bare ASGI. No fence.

``GET /begin?key=K&prompt=TEXT``: read an answer of the upstream (``UPSTREAM``, ``MODEL``), and XADD each delta.
``GET /read?key=K``: what is in the stream, and what comes, each entry a frame; a blocking read for each reader.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import httpx
import msgspec
from redis.asyncio import Redis

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
BLOCK_MS = 1000


class Delta(msgspec.Struct):
    content: str = ""


class Choice(msgspec.Struct):
    delta: Delta


class Chunk(msgspec.Struct):
    choices: list[Choice]


decoder = msgspec.json.Decoder(Chunk)
redis = Redis.from_url(os.environ["REDIS_URL"])
limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
upstream = httpx.AsyncClient(limits=limits, timeout=60, trust_env=False)
working: set[asyncio.Task[None]] = set()


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Two paths; see the module."""
    if scope["type"] != "http":
        return
    asked = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    if scope["path"] == "/begin":
        task = asyncio.create_task(produce(asked["key"], asked["prompt"]))
        working.add(task)
        await send({"type": "http.response.body", "body": b"begun"})
    else:
        reading = asyncio.create_task(follow(asked["key"], send))
        while (await receive())["type"] != "http.disconnect":
            pass
        reading.cancel()


async def produce(key: str, prompt: str) -> None:
    """Each delta is in Redis before the next one is read."""
    body = {"model": os.environ["MODEL"], "stream": True, "messages": [{"role": "user", "content": prompt}]}
    rest, number = b"", 0
    async with upstream.stream("POST", f"{os.environ['UPSTREAM']}/chat/completions", json=body) as response:
        async for part in response.aiter_raw():
            *events, rest = (rest + part).split(b"\n\n")
            for event in events:
                for choice in () if event == b"data: [DONE]" else decoder.decode(event[6:]).choices:
                    if content := choice.delta.content:
                        data = msgspec.json.encode({"content": content, "tokens": 1, "cost_usd": 6e-07})
                        number += 1
                        await redis.xadd(key, {"d": data}, id=f"{number}-0")


async def follow(key: str, send: Send) -> None:
    """Entries as frames."""
    await send({"type": "http.response.body", "body": b": ok\n\n", "more_body": True})
    place = "0-0"
    while True:
        answer: Any = await redis.xread({key: place}, block=BLOCK_MS)  # its type depends on the protocol's version
        for _, entries in answer:
            frames = b"".join(_frame(*entry) for entry in entries)
            place = entries[-1][0]
            await send({"type": "http.response.body", "body": frames, "more_body": True})


def _frame(entry_id: bytes, fields: dict[bytes, bytes]) -> bytes:
    number = int(entry_id.partition(b"-")[0]) - 1
    return b"event: message_chunk\nid: %d\nretry: 10000\ndata: %b\n\n" % (number, fields[b"d"])
