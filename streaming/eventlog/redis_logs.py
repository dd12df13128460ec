"""Where a process finds the logs in Redis that it has to do with."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence

from redis.exceptions import RedisError

from streaming.eventlog.kept import Place
from streaming.eventlog.redis_link import Link
from streaming.eventlog.redis_scripts import PUBLISH, Log, to_arguments
from streaming.events import Event

logger = logging.getLogger("streaming.eventlog")

REMEMBERED = 10_000
"""Names of logs that are kept in memory; one that is forgotten is asked for in SQL."""

PUBLISHED_SECONDS = 120
"""How long a closed log stays in Redis, for those who follow it."""


class Logs:
    """The logs in Redis by the key of their stream. A log's name is made of the stream's own token in SQL."""

    def __init__(self, prefix: str, link: Link) -> None:
        self._prefix = prefix
        self._link = link
        self._known: OrderedDict[int, Log] = OrderedDict()

    def get(self, stream: int) -> Log | None:
        """A stream's log, where this process has met it."""
        return self._known.get(stream)

    def learn(self, stream: int, place: Place) -> Log:
        """A stream's log, by its head in SQL."""
        if stream not in self._known and len(self._known) >= REMEMBERED:
            self._known.popitem(last=False)
        return self._known.setdefault(stream, Log(f"{self._prefix}:{place.token}"))

    async def publish(self, log: Log, events: Sequence[Event]) -> None:
        """Show the end of a log that is closed in SQL; where Redis cannot, the followers look there."""
        try:
            await self._link.ask(PUBLISH.on(log, events[0].event_id, PUBLISHED_SECONDS, *to_arguments(events)))
        except (RedisError, OSError) as error:
            logger.warning("cannot publish an end", extra={"error": type(error).__name__})
