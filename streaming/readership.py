"""Readership: the open readers of a process, their owners' places, and their end with the process."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

from streaming import metrics
from streaming.claims import Found, Owner
from streaming.eventlog.base import EventLog
from streaming.journal import count_reader
from streaming.keys import Credential
from streaming.limits import Place, Places
from streaming.reader import Reader
from streaming.revocations import Revocations

SHOW_SECONDS = 1
"""How long readers get, at the end of their process, to show what is in the log, and then to end."""

POLL_SECONDS = 0.05


class Readership:
    """The readers of this process."""

    def __init__(self, log: EventLog, revocations: Revocations) -> None:
        self._log = log
        self._revocations = revocations
        self._places = Places()
        self._readers: set[Reader] = set()
        self._ended = False

    def place(self, owner: Owner) -> Place:
        """A place for one more reader of an owner, not taken yet."""
        return self._places.place(owner)

    def admit(self, owner: Owner, found: Found, after: int, opening: bytes, credential: Credential | None) -> Reader:
        """Follow a stream after an event id, as long as ``credential`` is good. Raises TooManyStreams."""
        place = self.place(owner)
        place.take()
        reader = Reader(
            self._log,
            found.key,
            after,
            end=found.end,
            closed=found.closed,
            opening=opening,
            on_close=partial(self._let_go, place, credential),
        )
        if self._ended:
            reader.end()
        self._readers.add(reader)
        metrics.ACTIVE_READERS.inc()
        if credential is not None:
            self._revocations.admit(reader, credential)
        return reader

    def sizes(self) -> dict[int, int]:
        """How many readers each stream has, by its key."""
        return dict(Counter(reader.stream for reader in self._readers))

    async def end(self, *, show: bool = False) -> None:
        """End the readers' responses cleanly. Those to come end at once.

        ``show``: first let them show the ends of the streams that were produced here. Others go on elsewhere.
        """
        if show:
            await self._until_none()
        self._ended = True
        for reader in tuple(self._readers):
            reader.end()
        await self._until_none()
        await asyncio.sleep(POLL_SECONDS)

    async def _until_none(self) -> None:
        for _ in range(round(SHOW_SECONDS / POLL_SECONDS)):
            if self._readers:
                await asyncio.sleep(POLL_SECONDS)

    def _let_go(self, place: Place, credential: Credential | None, reader: Reader) -> None:
        place.leave()
        self._readers.discard(reader)
        count_reader(reader)
        if credential is not None:
            self._revocations.forget(reader, credential)
