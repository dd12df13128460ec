"""django-eventstream with storage in the database. ``/go`` publishes flat out from a thread, ``/fill`` 1,001 events."""

from __future__ import annotations

import threading

import django
from django.conf import settings as django_settings

from bench.apps.single_file import settings

django_settings.configure(
    **settings(__name__, "django_eventstream", middleware=[]),
    EVENTSTREAM_STORAGE_CLASS="django_eventstream.storage.DjangoModelStorage",
)
django.setup()

import django_eventstream
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

CHANNEL = "bench"

call_command("migrate", verbosity=0)

_stopping = threading.Event()


def publish(number: int) -> None:
    """One event, like the service's."""
    data = {"content": f"{number} ", "tokens": 1, "cost_usd": 6e-07}
    django_eventstream.send_event(CHANNEL, "message_chunk", data)


def _publish_all() -> None:
    number = 0
    while not _stopping.is_set():
        publish(number := number + 1)


def go(request: HttpRequest) -> HttpResponse:
    """Start the publisher."""
    _stopping.clear()
    threading.Thread(target=_publish_all, daemon=True).start()
    return HttpResponse("going")


def stop(request: HttpRequest) -> HttpResponse:
    """Stop it."""
    _stopping.set()
    return HttpResponse("stopped")


def fill(request: HttpRequest) -> HttpResponse:
    """A first event, and the 1,000 that a reader missed."""
    for number in range(1001):
        publish(number)
    return HttpResponse("filled")


urlpatterns = [
    path("go", go),
    path("stop", stop),
    path("fill", fill),
    path("events", include("django_eventstream.urls"), {"channels": [CHANNEL]}),
]

application = get_asgi_application()
