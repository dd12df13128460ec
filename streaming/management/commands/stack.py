"""Web processes, workers and, where there is none, a Redis: a larger installation on a developer's machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from argparse import ArgumentTypeError
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from streaming.conf import WORKERS, settings

REDIS_SECONDS = 10
"""How long a Redis of our own may take to answer."""

LINE_BYTES = 2**20
"""The longest line of output."""


class Command(BaseCommand):
    help = (
        "Serve with several web processes on one port, and workers that produce what those start. Ends all when one of"
        " them ends. Without REDIS_URL it starts a Redis of its own, which is gone afterwards. For development."
    )
    requires_system_checks = ()
    """The processes make their own."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--web", type=_count, default=2, metavar="N", help="web processes; default: 2")
        parser.add_argument("--workers", type=_count, default=2, metavar="N", help="workers; default: 2")
        parser.add_argument("--port", type=int, default=8000, help="of the loopback; default: 8000")

    def handle(self, *args: Any, web: int, workers: int, port: int, **options: Any) -> None:
        try:
            code = asyncio.run(_serve(web, workers, port))
        except OSError as error:
            raise CommandError(str(error)) from None
        if code:
            sys.exit(code)


class Stack:
    """The processes by name. Their output is ours, each line with the name of who says it."""

    def __init__(self) -> None:
        self.is_ending = False
        """Whether it was told to end."""
        self._processes: dict[str, Process] = {}
        self._copies: list[asyncio.Task[None]] = []

    async def start(self, name: str, command: Sequence[str], env: Mapping[str, str], *files: int) -> None:
        """Run a command; in a session of its own, so that Ctrl-C reaches it through us alone."""
        process = await asyncio.create_subprocess_exec(
            *command, env=env, stdout=PIPE, stderr=STDOUT, pass_fds=files, start_new_session=True, limit=LINE_BYTES
        )
        self._processes[name] = process
        self._copies.append(asyncio.create_task(_copy(name, process)))

    def end(self, number: signal.Signals) -> None:
        """Pass a signal on to all."""
        self.is_ending = True
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def run(self) -> int:
        """Until one ends, and then all have; the exit code: 0 where they were told to."""
        ends = {asyncio.create_task(process.wait()): name for name, process in self._processes.items()}
        [first, *_], _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        told = self.is_ending
        if not told:
            print(f"{ends[first]} ended with {first.result()}; ending all.", file=sys.stderr, flush=True)
            self.end(signal.SIGTERM)
        await asyncio.wait((*ends, *self._copies))
        return 0 if told else 1


async def _serve(web: int, workers: int, port: int) -> int:
    stack = Stack()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stack.end, number)
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        async with _redis() as redis_url:
            env = {**os.environ, "REDIS_URL": redis_url, "STREAM_PRODUCERS": WORKERS, "PYTHONUNBUFFERED": "1"}
            for which in range(1, web + 1):
                await stack.start(f"web {which}", _web(listener.fileno()), env, listener.fileno())
            for which in range(1, workers + 1):
                await stack.start(f"worker {which}", _worker(), env)
            print(f"http://127.0.0.1:{port}: {web} web processes, {workers} workers, {redis_url}", flush=True)
            return await stack.run()


def _web(listener: int) -> list[str]:
    """All accept on one socket, so that there is one address, and it stays where one of them ends."""
    module, _, name = django_settings.ASGI_APPLICATION.rpartition(".")
    return [sys.executable, "-m", "daphne", "-v", "0", "--fd", str(listener), f"{module}:{name}"]


def _worker() -> list[str]:
    """As patient as a web process, not as a worker that is left alone."""
    return [sys.executable, sys.argv[0], "streamworker", "--drain", str(settings.STREAM_DRAIN_SECONDS)]


@asynccontextmanager
async def _redis() -> AsyncIterator[str]:
    """The address of REDIS_URL, or of a Redis of our own. Raises CommandError where neither can be had."""
    if configured := getattr(django_settings, "REDIS_URL", ""):
        yield configured
        return
    if (binary := shutil.which("redis-server") or shutil.which("valkey-server")) is None:
        raise CommandError("REDIS_URL is empty, and neither redis-server nor valkey-server is installed.")
    with tempfile.TemporaryDirectory(prefix="magic-redis-") as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        options = ("--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", "", "--loglevel", "warning")
        durable = ("--appendonly", "yes", "--appendfsync", "always")
        process = await asyncio.create_subprocess_exec(binary, *options, *durable, start_new_session=True)
        try:
            await _until_it_answers(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            await process.wait()


async def _until_it_answers(port: int) -> None:
    async with asyncio.timeout(REDIS_SECONDS):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


async def _copy(name: str, process: Process) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        print(f"{name:<9}| {line.decode(errors='replace')}", end="", flush=True)


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ArgumentTypeError("must be 1 or more")
    return count
