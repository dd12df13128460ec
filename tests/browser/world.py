"""A server and its provider, for whole journeys of a browser."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import Server
from tests.upstream import Upstream

LONGER_THAN_ANY_BACKOFF_MS = 6000
numbers = itertools.count(1)


@dataclass
class World:
    """No journey leaves it worse."""

    server: Server
    upstream: Upstream

    def question(self, count: int, **script: Any) -> dict[str, Any]:
        """A message that the provider answers with ``1 2 3 …``, and that nobody else sends."""
        return {"count": count, "extra": {"journey": next(numbers)}, **script}


@contextmanager
def running_world(database_url: str, folder: Path) -> Iterator[World]:
    """Start both; the provider is scripted by the messages."""
    with Upstream() as upstream:
        server = Server(
            database_url,
            folder,
            OPENAI_API_KEY="sk-tests",
            OPENAI_BASE_URL=upstream.url,
            STREAM_DEFAULT_MODEL="gpt-4o-mini",
            STREAM_LEASE_SECONDS="3",
        )
        try:
            yield World(server.start(), upstream)
        finally:
            server.kill()
