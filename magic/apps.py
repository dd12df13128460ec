from __future__ import annotations

from django.apps import AppConfig


class MagicConfig(AppConfig):
    name = "magic"
