"""The app that plants the bugs, once the service's models can be imported."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class Planted(AppConfig):
    """See ``planted``."""

    name = "tests.faults"
    label = "planted"

    def ready(self) -> None:
        import_module("tests.faults.planted").plant()
