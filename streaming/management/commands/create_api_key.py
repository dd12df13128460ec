"""``manage.py create_api_key NAME``: a new API key, shown once."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from streaming import keys
from streaming.models import Scope


class Command(BaseCommand):
    help = "Make an API key. It is printed once, alone on its line, and kept only as a hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="whose it is, for people")
        scopes = ",".join(Scope.values)
        parser.add_argument(
            "--scopes", default=scopes, help=f"some of {scopes}, with a comma between them; default all"
        )
        parser.add_argument("--expires-days", type=float, help="after so many days it ends; default never")
        parser.add_argument("--dry-run", action="store_true", help="check what is given, and make nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        scopes = [part.strip() for part in options["scopes"].split(",") if part.strip()]
        if not scopes or not set(scopes) <= set(Scope.values):
            raise CommandError(f"--scopes takes some of {', '.join(Scope.values)}.")
        name = options["name"].strip()
        if not 0 < len(name) <= 100:
            raise CommandError("NAME must have 1 to 100 characters.")
        days = options["expires_days"]
        if days is not None and not 0 < days <= 36500:
            raise CommandError("--expires-days must be more than 0, and at most 36500.")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        if options["dry_run"]:
            until = "never ends" if expires_at is None else f"ends {expires_at:%Y-%m-%d %H:%M} UTC"
            self.stderr.write(f"A key of {name} would be made, for {', '.join(scopes)}; it {until}.")
            return
        key, text = keys.create(name, sorted({Scope(scope) for scope in scopes}), expires_at)
        self.stderr.write(f"The API key of {key.name}, for issuer key:{key.pk}. It is not shown again.")
        self.stdout.write(text)
