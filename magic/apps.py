from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MagicConfig(AppConfig):
    name = "magic"

    def ready(self) -> None:
        # They need the models.
        from magic.forgetting import forget_results
        from magic.library import load_after_migrate
        from streaming.retention import also_forget

        post_migrate.connect(load_after_migrate, sender=self)
        also_forget(forget_results)
