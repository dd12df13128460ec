"""``/health``, ``/ready``, ``/version``: for load balancers and people who deploy."""

from __future__ import annotations

import platform

import django
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from streaming import lifecycle
from streaming.responses import json_response
from streaming.version import NAME, VERSION, revision


@require_safe
async def health(request: HttpRequest) -> HttpResponse:
    """The process is alive. No I/O."""
    return json_response({"status": "ok"})


@require_safe
async def ready(request: HttpRequest) -> HttpResponse:
    """Whether starts can be taken: database, migrations, event log, not draining. 503 names what is not."""
    engine = await lifecycle.running()
    failing = await engine.store.read(_failing)
    if engine.draining:
        failing["draining"] = "the process is shutting down"
    if not engine.log_is_running:
        failing["event_log"] = "the event log is not running"
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


def _failing() -> dict[str, str]:
    try:
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return {"database": f"out of reach ({type(error).__name__})"}
    return {"migrations": f"{len(behind)} not applied"} if behind else {}
