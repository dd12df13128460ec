"""Forget the text of streams that ended long ago; what they cost is kept."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError, connection
from django.utils import timezone

from streaming.conf import settings
from streaming.retention import Batch, batches, prunable, wipe

REST_SECONDS = 0.02
"""Between two batches, so that the servers' writers get their turn."""
ATTEMPTS = 5
MOST_DAYS = 36_500


class Command(BaseCommand):
    help = (
        "Delete the events, message and system of closed streams, in small batches, beside running servers. "
        "Ids, counts and costs are kept, so an old id is answered with 410 and never bills again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=_days,
            metavar="DAYS",
            help="streams that ended so many days ago; 0: all that are closed; default: STREAM_RETENTION_DAYS",
        )
        parser.add_argument("--owner", type=_owner, metavar="ISSUER:USER_ID", help="only those of one owner")
        parser.add_argument("--dry-run", action="store_true", help="count them, and change nothing")

    def handle(
        self, *args: Any, older_than: float | None, owner: tuple[str, str] | None, dry_run: bool, **options: Any
    ) -> None:
        days = settings.STREAM_RETENTION_DAYS if older_than is None else older_than
        if older_than is None and not days:
            self.stdout.write("STREAM_RETENTION_DAYS is 0: streams are kept. Name an age with --older-than DAYS.")
            return
        streams = prunable(timezone.now() - timedelta(days=days), owner)
        total = streams.count()
        if dry_run:
            self.stdout.write(f"{total} streams would be pruned.")
            return
        pruned = events = 0
        for keys in batches(streams):
            batch = _wipe(keys)
            pruned, events = pruned + batch.streams, events + batch.events
            self.stdout.write(f"{pruned} of {total} streams, {events} events")
            time.sleep(REST_SECONDS)
        self.stdout.write(f"Pruned {pruned} streams, {events} events.")


def _wipe(keys: list[int]) -> Batch:
    """Repeated a few times where the database is busy, or was away for a moment: a batch is done once or not at all."""
    for attempt in range(1, ATTEMPTS):
        try:
            return wipe(keys)
        except OperationalError:
            connection.close()
            time.sleep(attempt)
    return wipe(keys)


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days <= MOST_DAYS:
        raise ArgumentTypeError(f"must be from 0 to {MOST_DAYS}")
    return days


def _owner(text: str) -> tuple[str, str]:
    issuer, colon, user_id = text.partition(":")
    if not (issuer and colon and user_id):
        raise ArgumentTypeError("must be ISSUER:USER_ID, e.g. session:anon_7f3")
    return issuer, user_id
