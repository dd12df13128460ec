"""The life of a server process: its engine starts with it, and SIGTERM lets its streams finish.

Django has no hook for this. Where the server speaks ASGI's lifespan (uvicorn, hypercorn, granian) that
is used; under daphne, Twisted's ``callWhenRunning``; anywhere else the first request starts the engine.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from streaming.conf import settings
from streaming.engine import Engine

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

logger = logging.getLogger("streaming.lifecycle")

SIGNALS = (signal.SIGTERM, signal.SIGINT)

MORE_OBJECTS = 25_000
"""So many more objects than at the last look start a search for garbage: about ten milliseconds."""

_engines: dict[asyncio.AbstractEventLoop, asyncio.Task[Engine]] = {}
_starting: set[asyncio.Task[Engine]] = set()


async def running() -> Engine:
    """The engine of this event loop, started where it is not yet."""
    loop = asyncio.get_running_loop()
    if loop not in _engines or (_engines[loop].done() and _engines[loop].exception() is not None):
        _engines[loop] = loop.create_task(_start(), context=contextvars.Context())
    return await asyncio.shield(_engines[loop])


def current() -> Engine | None:
    """The engine of this event loop, if it has been started."""
    task = _engines.get(asyncio.get_running_loop())
    return task.result() if task is not None and task.done() and task.exception() is None else None


async def stop() -> None:
    """Stop this event loop's engine, also one that is still waiting for the database. Idempotent."""
    task = _engines.pop(asyncio.get_running_loop(), None)
    if task is None:
        return
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await (await task).stop()


def start_in_background() -> None:
    """Start the engine of the running loop; the server does not wait for it, nor for the database."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(running(), context=contextvars.Context())
    _starting.add(task)
    task.add_done_callback(_report)


def start_under_daphne() -> None:
    """Start the engine as soon as daphne's reactor runs; elsewhere nothing happens."""
    if "daphne.server" not in sys.modules:
        return
    from twisted.internet import reactor

    # callLater, because the reactor calls what waits for "running" before its asyncio loop turns.
    reactor.callWhenRunning(reactor.callLater, 0, start_in_background)


def raise_file_limit() -> None:
    """Allow this process as many open files as the system lets it have: each reader and each call needs one."""
    if resource is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def calm_collector() -> None:
    """Look for garbage in cycles after real growth only, and not among what is there for good.

    By default each 700 objects more start a search, and what lives as long as a reader's wait, a second or two, soon
    counts as old: with 10,000 readers all of their objects were searched every few seconds, a second each time.
    """
    if gc.isenabled():
        gc.freeze()
        gc.set_threshold(MORE_OBJECTS, *gc.get_threshold()[1:])


def refuse_unsafe_settings() -> None:
    """Raises ImproperlyConfigured where a check of this app finds an error: servers do not run checks.

    A warning goes into the log.
    """
    findings = checks.run_checks(tags=["streaming"])
    for found in findings:
        if checks.WARNING <= found.level < checks.ERROR:
            logger.warning("%s: %s", found.id, found.msg)
    errors = [found for found in findings if found.level >= checks.ERROR]
    if errors:
        raise ImproperlyConfigured("\n".join(f"{error.id}: {error.msg}" for error in errors))


def _report(task: asyncio.Task[Engine]) -> None:
    _starting.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the engine did not start", exc_info=error)


async def _start() -> Engine:
    engine = Engine()
    if threading.current_thread() is threading.main_thread():
        _drain.watch(engine)
    try:
        await engine.start()
    except BaseException:
        await engine.stop()
        raise
    return engine


async def work(concurrency: int, drain_seconds: float) -> None:
    """Take queued starts and produce them, until SIGTERM or SIGINT and what is then left to do."""
    drained = asyncio.Event()
    drain = Drain(lambda: drain_seconds, lambda number: drained.set())
    engine = Engine(concurrency=concurrency)
    drain.watch(engine)
    try:
        # The database may be out of reach, and then a signal is not to wait for it.
        starting = asyncio.create_task(engine.start())
        ending = asyncio.create_task(drained.wait())
        await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
        if not drained.is_set():
            await starting
            await ending
    finally:
        await engine.stop()


class Drain:
    """On SIGTERM or SIGINT: drain for up to ``seconds()``, then go on with ``then``, which gets the signal.

    SIGINT, Ctrl-C, does not wait for live streams, and neither does a second signal. Once it is through, the handlers
    are those that were there before.
    """

    def __init__(self, seconds: Callable[[], float], then: Callable[[int], None]) -> None:
        self._seconds = seconds
        self._then = then
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hurry = asyncio.Event()
        self._previous: dict[int, Any] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, engine: Engine) -> None:
        """Look after this engine, of the running loop, from now on; the handlers are set the first time."""
        self._engine, self._loop = engine, asyncio.get_running_loop()
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # One that was ignored at the start, as SIGINT is in a script's background, stays so.
            if number not in self._previous and handler is not signal.SIG_IGN:
                self._previous[number] = handler
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin, self._loop, number)

    def _begin(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        if self._task is not None or number == signal.SIGINT:
            self._hurry.set()
        if self._task is None:
            self._task = loop.create_task(self._run(number))

    async def _run(self, number: int) -> None:
        try:
            if self._engine is not None:
                await self._engine.drain(self._seconds(), self._hurry)
                await self._engine.stop_writing()
        except Exception:
            logger.exception("draining failed")
        finally:
            for each, handler in self._previous.items():
                signal.signal(each, handler)
            self._then(number)


def _hand_over(number: int) -> None:
    """The server's own handler ends the process."""
    os.kill(os.getpid(), number)


_drain = Drain(lambda: settings.STREAM_DRAIN_SECONDS, _hand_over)
