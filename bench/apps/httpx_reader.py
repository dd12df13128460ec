"""Reads streams of the upstream with httpx alone: bytes, cut into events, their deltas decoded. Prints what it took.

    httpx_reader.py BASE_URL < PROMPTS

A prompt a line, all at once; the first ten warm up before.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import httpx
import msgspec
import uvloop


class Delta(msgspec.Struct):
    content: str = ""


class Choice(msgspec.Struct):
    delta: Delta


class Chunk(msgspec.Struct):
    choices: list[Choice]


decoder = msgspec.json.Decoder(Chunk)


async def read(client: httpx.AsyncClient, url: str, prompt: str) -> int:
    """The number of deltas of one answer."""
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    deltas, rest = 0, b""
    async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
        async for part in response.aiter_raw():
            *events, rest = (rest + part).split(b"\n\n")
            for event in events:
                data = event[6:]
                if data != b"[DONE]":
                    deltas += sum(bool(choice.delta.content) for choice in decoder.decode(data).choices)
    return deltas


async def main(url: str, prompts: list[str]) -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
        for asked in (prompts[:10], prompts):
            cpu, wall = time.process_time(), time.perf_counter()
            counts = await asyncio.gather(*(read(client, url, prompt) for prompt in asked))
            taken = {"deltas": sum(counts), "cpu_s": time.process_time() - cpu, "seconds": time.perf_counter() - wall}
    print(json.dumps(taken))


uvloop.run(main(sys.argv[1], sys.stdin.read().splitlines()))
