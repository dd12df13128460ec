"""Tails: what a process knows of the ends of the logs that it writes or follows.

One wake-up per stream is shared by all its readers, and so are the encoded frames.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from streaming.errors import LogGone
from streaming.eventlog.base import PAGE_BYTES, PAGE_EVENTS, Page
from streaming.eventlog.waiters import Waiters
from streaming.events import Event
from streaming.sse import frame

WINDOW_BYTES = 2 * PAGE_BYTES
"""How much of the newest frames is kept in memory per stream."""

SHARED_PAGES = 8
"""How many joined pages are kept between two appends, for readers with the same place."""

RECENT_PAGES = 64
"""How many pages a process keeps at hand, the last used: 4 MiB of ordinary frames."""


class Tail:
    """The committed end of one log, as this process knows it.

    ``end`` is the next event id, 0 while nothing is known. It only grows; a log whose end is seen to
    shrink, or whose events are pruned, is ``gone``.
    """

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.users = 0
        self.written_here = False
        """Whether this process appends to the log, so that nobody has to tell it of its end."""
        self.located = False
        """Whether the log's end was asked for since the tail came into use."""
        self.end = 0
        self.closed = False
        self.gone = False
        self.read_events = 2 * PAGE_EVENTS
        """How many events to read at once: first what the window takes, in case that is all; then about a page."""
        self.loading: dict[int, asyncio.Future[bool]] = {}
        """The pages that are being read from the store, by what they come after; tells whether there was one."""
        self._frames: deque[bytes] = deque()
        self._first = 0
        self._bytes = 0
        self._pages: dict[int, Page] = {}
        self._waiters = Waiters()

    @property
    def window_end(self) -> int:
        """The id after the newest frame in memory."""
        return self._first + len(self._frames)

    def extend(self, events: Iterable[Event]) -> None:
        """Committed events; those that this tail has already, or that leave a gap in its window, are dealt with."""
        last, end = None, self.window_end
        for event in events:
            if event.event_id < end and self._frames:
                continue
            if event.event_id != end:
                self._frames.clear()
                self._bytes = 0
                self._first = event.event_id
            encoded = frame(event)
            self._frames.append(encoded)
            self._bytes += len(encoded)
            last, end = event, event.event_id + 1
        if last is not None:
            self.reach(end, closed=last.type.is_terminal)
        while self._bytes > WINDOW_BYTES and len(self._frames) > 1:
            self._bytes -= len(self._frames.popleft())
            self._first += 1
        self._pages.clear()

    def reach(self, end: int, *, closed: bool) -> None:
        """The log is known to be committed up to ``end``."""
        if closed and end < self.end:
            self.lose(end)
        elif end > self.end or closed > self.closed:
            self.end = max(end, self.end)
            self.closed = self.closed or closed
            self.wake()

    def lose(self, end: int | None = None) -> None:
        """The log's end fell back to ``end``, or its events are gone."""
        self.gone = True
        self.end = self.end if end is None else end
        self.wake()

    def page(self, after: int) -> Page | None:
        """The page after ``after`` from memory; None where the window does not have it. Raises LogGone."""
        if self.gone:
            raise LogGone(self.end)
        if page := self._pages.get(after):
            return page
        start = after + 1 - self._first
        if start < 0 or start >= len(self._frames):
            return None
        taken: list[bytes] = []
        size = 0
        for index in range(start, len(self._frames)):
            size += len(self._frames[index])
            if taken and size > PAGE_BYTES:
                break
            taken.append(self._frames[index])
        last = after + len(taken)
        page = Page(b"".join(taken), last, self.closed and last + 1 == self.end)
        if len(self._pages) < SHARED_PAGES:
            self._pages[after] = page
        return page

    def keep(self, after: int, page: Page) -> Page:
        """Keep a page that does not change any more: after it the log goes on, but where it closes."""
        if self.gone:
            raise LogGone(self.end)
        if len(self._pages) < SHARED_PAGES:
            self._pages[after] = page
        self.reach(page.last_event_id + (1 if page.closes else 2), closed=page.closes)
        return page

    def take(self, after: int, events: Sequence[Event]) -> Page | None:
        """The page of events that were read after ``after``; those of the log's end are kept."""
        if events and events[-1].event_id + 1 >= self.end:
            self.extend(events)
            if (page := self.page(after)) is not None:
                return page
        if (page := to_page(events)) is not None:
            taken = page.last_event_id - after
            self.read_events = min(taken + taken // 8 + 1, PAGE_EVENTS)
        return page

    async def wait(self, after: int, seconds: float) -> bool:
        """See ``Follower.wait``."""
        if self._has_more(after):
            return True
        await self._waiters.wait(seconds)
        return self._has_more(after)

    async def ended(self, seconds: float) -> bool:
        """See ``Follower.ended``."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while not self.closed and not self.gone and (left := deadline - clock()) > 0:
            await self._waiters.wait(left)
        return self.closed or self.gone

    def _has_more(self, after: int) -> bool:
        # Who waits at the end of a closed log has another event in the place of its terminal one.
        if self.gone or (self.closed and self.end <= after + 1):
            raise LogGone(self.end)
        return self.end > after + 1

    def wake(self) -> None:
        """End all waits; the waiting readers look for themselves."""
        self._waiters.wake()


Load = Callable[[int, int, Tail | None], Awaitable[Page | None]]
"""The page of a stream after an event from the store; the tail, where there is one, may keep it. Raises LogGone."""


async def _load_for_all(tail: Tail, after: int, load: Load) -> Page | None:
    """Read a page, for which others wait meanwhile; then all of them look at once."""
    loaded = tail.loading[after] = asyncio.get_running_loop().create_future()
    there = True
    try:
        page = await load(tail.stream, after, tail)
        there = page is not None
    finally:
        del tail.loading[after]
        loaded.set_result(there)
    return page


def to_page(events: Sequence[Event]) -> Page | None:
    """The frames of the first of some events, as many as a page takes."""
    taken: list[bytes] = []
    size = 0
    for encoded in map(frame, events):
        size += len(encoded)
        if taken and size > PAGE_BYTES:
            break
        taken.append(encoded)
    if not taken:
        return None
    last = events[len(taken) - 1]
    return Page(b"".join(taken), last.event_id, last.type.is_terminal)


class Tails:
    """The tails that are in use; one lives as long as somebody uses it."""

    def __init__(self) -> None:
        self._tails: dict[int, Tail] = {}

    def get(self, stream: int) -> Tail | None:
        """The tail of a stream, where it is in use."""
        return self._tails.get(stream)

    def open(self) -> list[Tail]:
        """Those whose logs may still grow."""
        return [tail for tail in self._tails.values() if not tail.gone and not tail.closed]

    def closed(self) -> list[Tail]:
        """Those that are read to a known end, whose events may be pruned meanwhile."""
        return [tail for tail in self._tails.values() if tail.closed and not tail.gone]

    async def read(self, stream: int, after: int, load: Load) -> Page | None:
        """See ``EventLog.read``: from memory, else by ``load``, once for all who wait at the end."""
        tail = self.get(stream)
        if tail is None:
            return await load(stream, after, None)
        waited = False
        while (page := tail.page(after)) is None:
            if after + 1 < tail.window_end:
                return await load(stream, after, tail)
            if (loading := tail.loading.get(after)) is None:
                return await _load_for_all(tail, after, load)
            # Not awaited itself: whoever leaves would take it along.
            await asyncio.wait((loading,))
            # The first may have looked before this one asked. Each looking anew would wake all the others each time.
            if waited and not loading.result():
                return None
            waited = True
        return page

    @contextmanager
    def use(self, stream: int) -> Iterator[Tail]:
        """Hold a stream's tail."""
        tail = self._tails.setdefault(stream, Tail(stream))
        tail.users += 1
        try:
            yield tail
        finally:
            tail.users -= 1
            if not tail.users:
                del self._tails[stream]


class RecentPages:
    """Pages that were read not long ago, of all logs; good as long as the log is not pruned."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[int, int], Page] = OrderedDict()

    def get(self, stream: int, after: int) -> Page | None:
        """The page of a log after ``after``."""
        page = self._pages.get((stream, after))
        if page is not None:
            self._pages.move_to_end((stream, after))
        return page

    def keep(self, stream: int, after: int, page: Page) -> None:
        """Keep a page, in place of the one that was longest without use."""
        self._pages[stream, after] = page
        if len(self._pages) > RECENT_PAGES:
            self._pages.popitem(last=False)

    def forget(self, stream: int) -> None:
        """Let go of what a log said."""
        for key in [key for key in self._pages if key[0] == stream]:
            del self._pages[key]
