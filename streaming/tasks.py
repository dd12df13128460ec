"""Background tasks of a process: each with no request's context, and held, so that none is collected."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Tasks:
    """The tasks that are under way."""

    def __init__(self) -> None:
        self._held: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``work`` beside the caller, whatever becomes of the caller."""
        task = asyncio.create_task(work, context=contextvars.Context())
        self._held.add(task)
        task.add_done_callback(self._held.discard)
        return task
