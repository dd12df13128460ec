"""What may be done to streams: stop them, export their numbers, forget their text."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

from streaming import cancels, retention
from streaming.admin.base import dollars
from streaming.models import Stream

EXPORT_ROWS = 1000
"""Rows that are read at a time."""

COLUMNS = (
    *("stream_id", "issuer", "user_id", "conversation_id", "model", "provider", "template", "status", "finish_reason"),
    *("error_type", "created_at", "finished_at", "first_token_ms", "latency_ms", "resumes", "prompt_tokens"),
    *("completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "total_cost_usd", "cost_state"),
)

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula."""


class StreamActions:
    """A mixin of the streams' admin. Each action needs a permission of its own."""

    def has_stop_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("streaming.stop_stream")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("streaming.export_stream")

    def has_forget_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("streaming.forget_stream")

    @admin.action(description="Stop: end the selected live streams, as cancelled", permissions=["stop"])
    def stop(self, request: HttpRequest, chosen: QuerySet[Stream]) -> None:
        asked = stop(chosen.filter(finished_at__isnull=True).order_by().values_list("pk", flat=True))
        self.message_user(request, f"Asked to stop: {asked}. They end within a second or two.")  # type: ignore[attr-defined]

    @admin.action(description="Export the numbers of the selected streams as CSV", permissions=["export"])
    def export(self, request: HttpRequest, chosen: QuerySet[Stream]) -> HttpResponseBase:
        response = StreamingHttpResponse(_lines(chosen), content_type="text/csv; charset=utf-8")
        response.headers["Content-Disposition"] = 'attachment; filename="streams.csv"'
        response.headers["Cache-Control"] = "no-store"
        return response

    @admin.action(
        description="Forget: delete the text of the selected streams, keep the numbers", permissions=["forget"]
    )
    def forget(self, request: HttpRequest, chosen: QuerySet[Stream]) -> HttpResponse | None:
        ended = Stream.objects.filter(pk__in=chosen.order_by().values("pk"), head__closed=True, pruned_at__isnull=True)
        if request.POST.get("confirmed"):
            done = sum(retention.wipe(keys).streams for keys in retention.batches(ended))
            self.message_user(request, f"Forgotten: the text of {done}. Their numbers are kept.", messages.WARNING)  # type: ignore[attr-defined]
            return None
        model_admin: Any = self
        context = {
            **model_admin.admin_site.each_context(request),
            "title": "Forget the text?",
            "opts": model_admin.opts,
            "chosen": request.POST.getlist("_selected_action"),
            "across": request.POST.get("select_across", "0"),
            "count": ended[: retention.BATCH_EVENTS].count(),
        }
        return TemplateResponse(request, "admin/streaming/forget.html", context)


def stop(keys: Iterable[int]) -> int:
    """Ask that streams end; the process that produces one sees it within a quarter of a second."""
    asked = list(keys)
    with transaction.atomic():
        cancels.request_all(asked)
    return len(asked)


def harmless(value: object) -> str:
    """A cell's text that no spreadsheet runs."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


async def _lines(chosen: QuerySet[Stream]) -> AsyncIterator[str]:
    """The rows from the newest on, read by key, so that each page costs the same."""
    yield _csv([COLUMNS])
    rows = chosen.select_related("cost").order_by("-pk")
    before: int | None = None
    while page := await sync_to_async(_page)(rows, before):
        yield _csv(_cells(stream) for stream in page)
        before = page[-1].pk


def _page(rows: QuerySet[Stream], before: int | None) -> list[Stream]:
    return list((rows if before is None else rows.filter(pk__lt=before))[:EXPORT_ROWS])


def _cells(stream: Stream) -> list[object]:
    cost = stream.cost
    special = {
        "total_cost_usd": None if cost.total_pico_usd is None else dollars(cost.total_pico_usd),
        "cost_state": cost.state,
        "created_at": stream.created_at.isoformat(),
        "finished_at": stream.finished_at and stream.finished_at.isoformat(),
    }
    return [special[name] if name in special else getattr(stream, name, getattr(cost, name, None)) for name in COLUMNS]


def _csv(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([harmless(value) for value in row] for row in rows)
    return text.getvalue()
