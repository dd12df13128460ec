"""The log of one stream: a page of events at a time, with the waits between them."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from streaming.admin.base import ReadOnlyAdmin
from streaming.eventlog.stored import events_between
from streaming.events import Event
from streaming.models import Stream

EVENTS_PER_PAGE = 200
LONG_GAP_MS = 2000
"""A wait that is pointed out."""
FULL_BAR_MS = 10_000
"""A wait whose bar is as long as a bar gets."""
BAR_UNITS = 120


@dataclass(frozen=True, slots=True)
class Row:
    """An event and the time since the one before it; of the first event, since the stream was created."""

    event: Event
    gap_ms: int

    @property
    def is_long(self) -> bool:
        return self.gap_ms >= LONG_GAP_MS

    @property
    def bar(self) -> int:
        """The length of the wait's bar, of ``BAR_UNITS``."""
        return min(BAR_UNITS, round(BAR_UNITS * self.gap_ms / FULL_BAR_MS))


def page(request: HttpRequest, pk: int, model_admin: ReadOnlyAdmin) -> HttpResponse:
    """``/admin/streaming/stream/<pk>/events/?p=2``. What the events say is for who may read texts."""
    stream = Stream.objects.select_related("head").filter(pk=pk).first()
    if stream is None:
        raise Http404
    if not model_admin.has_view_permission(request, stream):
        raise PermissionDenied
    end = 0 if stream.pruned_at else stream.head.next_event_id
    shown = Paginator(range(end), EVENTS_PER_PAGE).get_page(request.GET.get("p"))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"Events of {stream.stream_id}",
        "opts": model_admin.opts,
        "stream": stream,
        "page": shown,
        "rows": _rows(pk, shown.start_index() - 1, shown.end_index() - 1) if end else [],
        "may_read_texts": request.user.has_perm("streaming.view_stream_text"),
    }
    return TemplateResponse(request, "admin/streaming/timeline.html", context)


def _rows(stream: int, first: int, last: int) -> list[Row]:
    events = events_between(stream, max(first - 1, 0), last)
    before = events.pop(0).elapsed_ms if first and events else 0
    rows = []
    for event in events:
        rows.append(Row(event, event.elapsed_ms - before))
        before = event.elapsed_ms
    return rows
