"""The demo provider behind a gate, so that all readers are there before its first event: what fan-out needs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from streaming.providers.base import Piece, Prompt
from streaming.providers.demo import DemoProvider

LOOK_SECONDS = 0.01


class GatedDemoProvider(DemoProvider):
    """Answers once the file of ``BENCH_GATE`` exists."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Piece], None]:
        gate = Path(os.environ["BENCH_GATE"])
        while not gate.exists():  # noqa: ASYNC110, ASYNC240  # another process makes it
            await asyncio.sleep(LOOK_SECONDS)
        async for pieces in super().stream(prompt):
            yield pieces
