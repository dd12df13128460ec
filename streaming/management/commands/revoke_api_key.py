"""``manage.py revoke_api_key KEY``: end an API key, at once and for good."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from streaming import keys
from streaming.models import ApiKey


class Command(BaseCommand):
    help = (
        "Revoke an API key, named by its number or by the beginning that the admin and create_api_key show. Its open "
        "readers are closed within two seconds; its streams stay."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("key", help="the key's number (7 or key:7), its beginning (mgk_AbC123), or all of it")
        parser.add_argument("--dry-run", action="store_true", help="say which key that is, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        found = _find(options["key"].strip())
        if not found:
            raise CommandError("There is no such key.")
        if len(found) > 1:
            names = ", ".join(f"key:{key.pk} {key}" for key in found)
            raise CommandError(f"That fits several keys; name one by its number: {names}")
        [key] = found
        if key.revoked_at is not None:
            self.stdout.write(f"key:{key.pk} {key} was revoked {key.revoked_at:%Y-%m-%d %H:%M} UTC.")
        elif options["dry_run"]:
            self.stdout.write(f"key:{key.pk} {key} would be revoked.")
        else:
            keys.revoke([key.pk])
            self.stdout.write(f"Revoked: key:{key.pk} {key}.")


def _find(text: str) -> list[ApiKey]:
    number = text.removeprefix("key:")
    if number.isascii() and number.isdecimal():
        return list(ApiKey.objects.filter(pk=int(number[:18])))
    if len(text) < keys.SHOWN_CHARS:
        return []
    return list(ApiKey.objects.filter(prefix=text[: keys.SHOWN_CHARS]).order_by("pk"))
