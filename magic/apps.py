from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MagicConfig(AppConfig):
    name = "magic"

    def ready(self) -> None:
        from magic.library import load_after_migrate  # needs the models

        post_migrate.connect(load_after_migrate, sender=self)
