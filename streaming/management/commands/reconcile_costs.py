"""Check the ledger against its own counts and prices, and against the logs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from streaming.events import usd
from streaming.reconciliation import reconcile

PROGRESS_RECORDS = 10_000

SHOWN = 20
"""So many of each kind of finding are named; all are counted."""


class Command(BaseCommand):
    help = "Recompute what the streams cost and compare it with the ledger; ends with 1 where something differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", type=_date, metavar="DATE", help="only streams created since, e.g. 2026-11-01 (UTC)"
        )
        parser.add_argument("--dry-run", action="store_true", help="as without it: nothing is ever changed")

    def handle(self, *args: Any, since: datetime | None, **options: Any) -> None:
        found = reconcile(since, self._tell)
        self.stdout.write(
            f"{found.settled} settled records, {_usd(found.recorded)} USD in all; drift {_usd(found.drift)} USD\n"
            f"{found.events} compared with their terminal events\n"
            f"{len(found.wrong)} differences, {len(found.pending)} closed streams with a pending record, "
            f"{len(found.missing)} streams without a record"
        )
        for title, names in (("different", found.wrong), ("pending", found.pending), ("missing", found.missing)):
            for name in names[:SHOWN]:
                self.stdout.write(f"{title}: {name}")
            if len(names) > SHOWN:
                self.stdout.write(f"{title}: and {len(names) - SHOWN} more")
        if not found.ok:
            raise CommandError("the ledger differs", returncode=1)

    def _tell(self, compared: int) -> None:
        if compared % PROGRESS_RECORDS == 0:
            self.stderr.write(f"{compared} records compared")


def _usd(pico: int) -> str:
    return f"{usd(pico):f}"


def _date(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
