"""Produce the streams that web processes start, with ``STREAM_PRODUCERS=workers``."""

from __future__ import annotations

import asyncio
import math
from argparse import ArgumentTypeError
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from streaming import lifecycle
from streaming.conf import settings


class Command(BaseCommand):
    help = (
        "Take the starts of the web processes from Redis and produce them. SIGTERM lets live answers finish; a second"
        " one, or Ctrl-C, ends them as interrupted."
    )
    requires_system_checks = ()
    """As servers do: those of the app, at every start; its warnings go into the log."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--concurrency", type=_count, metavar="N", help="streams at once; default: STREAM_MAX_STREAMS"
        )
        parser.add_argument(
            "--drain",
            type=_seconds,
            metavar="SECONDS",
            help="how long SIGTERM lets live answers finish; default: STREAM_MAX_SECONDS, as long as any may take",
        )

    def handle(self, *args: Any, concurrency: int | None, drain: float | None, **options: Any) -> None:
        try:
            lifecycle.refuse_unsafe_settings()
            lifecycle.raise_file_limit()
            lifecycle.calm_collector()
            slots = settings.STREAM_MAX_STREAMS if concurrency is None else concurrency
            seconds = settings.STREAM_MAX_SECONDS if drain is None else drain
            asyncio.run(lifecycle.work(slots, seconds))
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ArgumentTypeError("must be 1 or more")
    return count


def _seconds(text: str) -> float:
    seconds = float(text)
    if not math.isfinite(seconds) or seconds < 0:
        raise ArgumentTypeError("must be 0 or more")
    return seconds
