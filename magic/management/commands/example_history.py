"""Example history for the admin: made, and removed."""

from __future__ import annotations

from random import Random
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from magic import examples
from streaming.models import Stream

SEED = 1


class Command(BaseCommand):
    help = (
        "Add two weeks of example streams, costs included, so that a new admin is not empty. They belong to the issuer "
        "'example' and are nobody's; --remove deletes them again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--remove", action="store_true", help="delete all of it")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    def handle(self, *args: Any, remove: bool, dry_run: bool, verbosity: int, **options: Any) -> None:
        if remove:
            count = Stream.objects.filter(issuer=examples.ISSUER).count() if dry_run else examples.remove()
            self.stdout.write(f"{count} example streams {'would be' if dry_run else 'were'} removed.")
            return
        if examples.exist():
            self.stdout.write("The example history is there already; --remove deletes it.")
            return
        random = Random(SEED)
        planned = examples.examples(timezone.now(), random)
        if dry_run:
            self.stdout.write(f"{len(planned)} example streams would be added.")
            return

        def tell(done: int) -> None:
            if verbosity > 1 or done == len(planned):
                self.stdout.write(f"{done} of {len(planned)} example streams")

        examples.add(planned, random, tell)
