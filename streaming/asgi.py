"""The ASGI entry point of a project in which an open stream costs no thread and no connection.

Use it in place of ``django.core.asgi``. Importing it sets Django up.
"""

from __future__ import annotations

import django

from streaming import scoreboard

scoreboard.join()
django.setup(set_prefix=False)

from streaming import lifecycle  # noqa: E402  # needs the models, and they need the set-up
from streaming.application import Application  # noqa: E402
from streaming.logs import hide_queries  # noqa: E402


def get_asgi_application() -> Application:
    """The application of a project that has ``streaming`` installed. Raises ImproperlyConfigured if it is unsafe."""
    lifecycle.refuse_unsafe_settings()
    hide_queries()
    lifecycle.raise_file_limit()
    lifecycle.calm_collector()
    lifecycle.start_under_daphne()
    return Application()
