"""The lease: one record per producer process, on the store's clock.

SQLite lives on one machine, so its clock is the machine's monotonic one, which is the same for all
processes and never jumps; after a reboot every old lease lies in the future, which means dead.
PostgreSQL's is ``clock_timestamp()``.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import F, Q
from django.utils import timezone

from streaming.conf import settings
from streaming.models import Process
from streaming.version import VERSION

RENEWALS_PER_LEASE = 3


@dataclass(frozen=True, slots=True)
class Renewal:
    """A process says that it lives; ``draining`` tells others, and operators, that it is about to end."""

    process: int
    draining: bool = False
    readers: dict[int, int] = field(default_factory=dict)
    """How many readers each stream has in this process, by the stream's key."""


def store_clock() -> float:
    """Seconds on the clock that all processes of this store share."""
    if connection.vendor == "sqlite":
        return time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(EPOCH FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def is_dead(now: float) -> Q:
    """Processes whose lease has run out at ``now``, or that have stopped."""
    return (
        Q(stopped_at__isnull=False) | Q(renewed__lt=now - F("lease_seconds")) | Q(renewed__gt=now + F("lease_seconds"))
    )


def register(kinds: list[str]) -> list[Process]:
    """Write a new process record for each kind."""
    now = store_clock()
    return [
        Process.objects.create(
            name=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
            kind=kind,
            version=VERSION,
            started_at=timezone.now(),
            renewed=now,
            lease_seconds=settings.STREAM_LEASE_SECONDS,
        )
        for kind in kinds
    ]


def renew(renewals: list[Renewal]) -> list[list[int]]:
    """Renew leases; answers which other live processes share this store."""
    now = store_clock()
    for renewal in renewals:
        Process.objects.filter(pk=renewal.process).update(
            renewed=now, draining=renewal.draining, readers=renewal.readers
        )
    alive = list(Process.objects.exclude(is_dead(now)).values_list("pk", flat=True))
    return [[process for process in alive if process != renewal.process] for renewal in renewals]


def release(processes: list[int]) -> list[None]:
    """End leases at once: what these processes left open may be closed by anyone."""
    Process.objects.filter(pk__in=processes).update(stopped_at=timezone.now())
    return [None] * len(processes)
