"""``/health``, ``/ready``, ``/version``, ``/metrics``: for load balancers, monitors and people who deploy."""

from __future__ import annotations

import asyncio
import platform

import django
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from streaming import lifecycle
from streaming.addresses import may_read_metrics
from streaming.engine import Engine
from streaming.exposition import exposition
from streaming.responses import json_response
from streaming.version import NAME, VERSION, revision

PATIENCE_SECONDS = 2
"""How long ``/ready`` waits for the engine, and then for the database."""


@require_safe
async def health(request: HttpRequest) -> HttpResponse:
    """The process is alive. No I/O."""
    return json_response({"status": "ok"})


@require_safe
async def ready(request: HttpRequest) -> HttpResponse:
    """Whether starts can be taken: database, migrations, event log, not draining. 503 names what is not."""
    engine = await _engine()
    failing = await _failing_database()
    if engine is None or not engine.log_is_running:
        failing["event_log"] = "the event log is not running"
    elif engine.log.failing is not None:
        failing["event_log"] = engine.log.failing
    if engine is not None and engine.draining:
        failing["draining"] = "the process is shutting down"
    if failing:
        return json_response({"status": "not ready", "failing": failing}, 503)
    return json_response({"status": "ok"})


@require_safe
async def version(request: HttpRequest) -> HttpResponse:
    """What runs here."""
    return json_response(
        {
            "name": NAME,
            "version": VERSION,
            "revision": revision(),
            "python": platform.python_version(),
            "django": django.get_version(),
        }
    )


@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """What is counted, in Prometheus' text format, for who comes from a network of ``STREAM_METRICS_ALLOW``."""
    if not may_read_metrics(request):
        return HttpResponse("See STREAM_METRICS_ALLOW.\n", status=403, content_type="text/plain")
    text = await asyncio.to_thread(exposition)
    return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})


async def _engine() -> Engine | None:
    """The engine; None where it does not start, as without its tables."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await lifecycle.running()
    except (TimeoutError, DatabaseError):
        return None


async def _failing_database() -> dict[str, str]:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await asyncio.to_thread(_failing)
    except TimeoutError:
        return {"database": "does not answer"}


def _failing() -> dict[str, str]:
    """With a connection of its own, so that busy readers cannot look like a broken database."""
    try:
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return {"database": f"out of reach ({type(error).__name__})"}
    finally:
        connection.close()
    return {"migrations": f"{len(behind)} not applied"} if behind else {}
