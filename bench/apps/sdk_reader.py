"""Reads streams of the upstream with OpenAI's SDK alone; as ``httpx_reader.py``."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop
from openai import AsyncOpenAI


async def read(client: AsyncOpenAI, prompt: str) -> int:
    """The number of deltas of one answer."""
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", stream=True, messages=[{"role": "user", "content": prompt}]
    )
    return sum([bool(choice.delta.content) async for chunk in stream for choice in chunk.choices])


async def main(url: str, prompts: list[str]) -> None:
    async with AsyncOpenAI(base_url=url, api_key="sk-bench", timeout=60, max_retries=0) as client:
        for asked in (prompts[:10], prompts):
            cpu, wall = time.process_time(), time.perf_counter()
            counts = await asyncio.gather(*(read(client, prompt) for prompt in asked))
            taken = {"deltas": sum(counts), "cpu_s": time.process_time() - cpu, "seconds": time.perf_counter() - wall}
    print(json.dumps(taken))


uvloop.run(main(sys.argv[1], sys.stdin.read().splitlines()))
