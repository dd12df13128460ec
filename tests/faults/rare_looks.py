"""The service with looks so rare that only a notice can have woken whoever wakes."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

from streaming.asgi import get_asgi_application

RARELY_SECONDS = 60

settings.STREAM_EVENT_LOG = {
    "BACKEND": "streaming.eventlog.database.DatabaseEventLog",
    "OPTIONS": {"poll_seconds": RARELY_SECONDS},
}

from streaming import production  # noqa: E402  # needs the models

production.CANCEL_SECONDS = RARELY_SECONDS

application = get_asgi_application()
