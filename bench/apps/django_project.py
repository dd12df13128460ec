"""Plain Django: a view that inserts one row, and one that sends 1,000 frames, joined, from memory.

With ``BENCH_MIDDLEWARE=stock`` behind the middleware that startproject writes, else behind none.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import django
from django.conf import settings as django_settings

from bench.apps.hub import PAGE, REPLAY
from bench.apps.single_file import STOCK_MIDDLEWARE, settings

MIDDLEWARE = STOCK_MIDDLEWARE if os.environ.get("BENCH_MIDDLEWARE") == "stock" else []

django_settings.configure(**settings(__name__, "django.contrib.messages", middleware=MIDDLEWARE))
django.setup()

from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.db import connection, models
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils import timezone


class Message(models.Model):
    """A row about as long as a start is."""

    user_id = models.CharField(max_length=128)
    message = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        app_label = "bench"


call_command("migrate", verbosity=0)
with connection.schema_editor() as editor:
    if Message._meta.db_table not in connection.introspection.table_names():
        editor.create_model(Message)


def insert(request: HttpRequest) -> JsonResponse:
    """Insert one row."""
    message = Message(user_id=request.GET["user_id"], message=request.GET["message"], created_at=timezone.now())
    message.save(force_insert=True)
    return JsonResponse({"id": message.pk})


async def replay(request: HttpRequest) -> StreamingHttpResponse:
    """As the hub does it, by way of Django."""

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(REPLAY), PAGE):
            yield REPLAY[start : start + PAGE]

    return StreamingHttpResponse(parts(), content_type="text/event-stream")


urlpatterns = [path("insert", insert), path("replay", replay)]

application = get_asgi_application()
