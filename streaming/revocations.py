"""Revocations: readers end soon after what let them in was withdrawn."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable

from django.db import DatabaseError

from streaming import keys
from streaming.keys import Credential
from streaming.reader import Reader
from streaming.store import Store, StoreClosed

logger = logging.getLogger("streaming.revocations")

LOOK_SECONDS = 1
"""How often a process looks whether the credentials of its readers are still good."""


class Revocations:
    """The credentials that this process's readers and requests use. ``clock`` is monotonic, in seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._readers: defaultdict[Credential, set[Reader]] = defaultdict(set)
        self._used: set[int] = set()
        self._noted: dict[int, float] = {}

    def admit(self, reader: Reader, credential: Credential) -> None:
        """End this reader when its credential is withdrawn."""
        self._readers[credential].add(reader)

    def forget(self, reader: Reader, credential: Credential) -> None:
        """This reader has ended."""
        if readers := self._readers.get(credential):
            readers.discard(reader)
            if not readers:
                del self._readers[credential]

    def used(self, key: int) -> None:
        """A request came with this API key."""
        if self._clock() - self._noted.get(key, -keys.NOTE_SECONDS) >= keys.NOTE_SECONDS:
            self._used.add(key)

    async def run(self) -> None:
        """Until cancelled, every ``LOOK_SECONDS``."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._note_uses()
                await self._look()
            except StoreClosed:
                return
            except DatabaseError as error:
                logger.warning("cannot look for withdrawn credentials", extra={"error": type(error).__name__})

    async def _look(self) -> None:
        in_use = set(self._readers)
        if not in_use:
            return
        for credential in in_use - await self._store.read(keys.still_good, in_use):
            for reader in tuple(self._readers.get(credential, ())):
                reader.end()

    async def _note_uses(self) -> None:
        used, self._used = self._used, set()
        for key in used:
            await self._store.write(keys.note_uses, key)
            self._noted[key] = self._clock()
