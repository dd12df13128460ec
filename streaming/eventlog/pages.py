"""Pages of what SQL has of a log."""

from __future__ import annotations

from streaming.errors import LogGone
from streaming.eventlog.base import Page
from streaming.eventlog.stored import is_there, read_part, select_heads
from streaming.eventlog.tails import RecentPages, Tail, to_page
from streaming.store import Store


class StoredPages:
    """Reads pages for the readers of a process, and keeps the last ones for those that come after them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent = RecentPages()

    async def load(self, stream: int, after: int, tail: Tail | None) -> Page | None:
        """See ``tails.Load``. Raises LogGone, and the database's errors."""
        known_end = 0 if tail is None else tail.end
        if tail is not None and (page := self._recent.get(stream, after)) is not None:
            # The log may have been pruned since the page was kept.
            if await self._store.read(is_there, stream, page.last_event_id):
                return tail.keep(after, page)
            self._recent.forget(stream)
        part = await self._store.read(read_part, stream, after)
        if not part.events:
            await self._check_end(stream, after, known_end)
        if tail is None:
            return to_page(part.events)
        if part.is_full and (page := to_page(part.events)) is not None:
            self._recent.keep(stream, after, page)
            return tail.keep(after, page)
        return tail.take(after, part.events)

    def forget(self, stream: int) -> None:
        """Let go of what a log said."""
        self._recent.forget(stream)

    async def _check_end(self, stream: int, after: int, known_end: int) -> None:
        """Raises LogGone where ``after`` is beyond the log's end, or its events are gone."""
        if after + 1 < known_end:
            raise LogGone(known_end)
        if after >= 0:
            end, _ = (await self._store.read(select_heads, [stream])).get(stream, (after + 1, False))
            if end <= after:
                raise LogGone(end)
