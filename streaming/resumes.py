"""Resumes: how often readers came back to each stream, on its record; for people, so it may be a second late.

Not in the writer's transactions: readers of a stream are on many processes, and transactions that update each other's
streams, besides their own, would wait for each other in a circle. Here each update is alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import ExitStack

from django.db import Error, connection, transaction
from django.db.models import F

from streaming.models import Stream
from streaming.store import Store

logger = logging.getLogger("streaming.resumes")

WRITE_SECONDS = 1.0


class Resumes:
    """Those that this process has seen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: Counter[int] = Counter()

    def note(self, stream: int) -> None:
        """A reader came back."""
        self._seen[stream] += 1

    async def run(self) -> None:
        """Until cancelled: write down what was seen, every second."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write down what was seen; where the database is out of reach, later."""
        seen, self._seen = self._seen, Counter()
        if not seen:
            return
        try:
            await self._store.read_long(add_resumes, seen)
        except Error as error:
            logger.warning("cannot write down resumes", extra={"error": type(error).__name__})
            self._seen += seen


def add_resumes(seen: Counter[int]) -> None:
    """Add to the streams' counts; on SQLite, which has no row locks, in one transaction."""
    with ExitStack() as held:
        if connection.vendor == "sqlite":
            held.enter_context(transaction.atomic())
        for stream, count in seen.items():
            Stream.objects.filter(pk=stream).update(resumes=F("resumes") + count)
