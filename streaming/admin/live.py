"""What runs now: the open streams with viewers, speed and the age of the last event, and a button to stop each."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from streaming.admin.base import ReadOnlyAdmin
from streaming.admin.stream_actions import stop
from streaming.eventlog.stored import events_between
from streaming.events import Event, EventType
from streaming.lease import is_dead, store_clock
from streaming.models import Process, Stream, StreamHead

MOST_SHOWN = 100
"""Streams on the page; all are counted."""
SPEED_EVENTS = 40
"""The speed is that over so many of the last events."""
QUIET_SECONDS = 30
"""An older last event is pointed out: heartbeats come more often."""
REFRESH_SECONDS = 5


@dataclass(frozen=True, slots=True)
class LiveStream:
    """An open stream as SQL knows it now, which may be less than the event log does.

    ``tokens_per_second`` is None where too few events tell it, and ``quiet_seconds`` where there is none.
    """

    stream: Stream
    process: Process | None
    is_orphan: bool
    events: int
    viewers: int
    tokens_per_second: float | None
    quiet_seconds: float | None

    @property
    def is_quiet(self) -> bool:
        return self.quiet_seconds is not None and self.quiet_seconds >= QUIET_SECONDS


def page(request: HttpRequest, model_admin: ReadOnlyAdmin) -> HttpResponse:
    """``/admin/streaming/stream/live/``: GET shows, POST stops one."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    may_stop = request.user.has_perm("streaming.stop_stream")
    if request.method == "POST":
        if not may_stop:
            raise PermissionDenied
        asked = stop([int(key) for key in request.POST.getlist("stream") if key.isascii() and key.isdecimal()][:1])
        model_admin.message_user(request, f"Asked to stop: {asked}.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:streaming_live"))
    now = store_clock()
    alive = list(Process.objects.exclude(is_dead(now)).order_by("pk"))
    viewers = _viewers(alive)
    streams = live_streams({process.pk for process in alive}, viewers)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Live",
        "opts": model_admin.opts,
        "streams": streams,
        "count": StreamHead.objects.filter(closed=False).count(),
        "viewers": viewers.total(),
        "processes": [(process, max(0.0, now - process.renewed)) for process in alive],
        "may_stop": may_stop,
        "refresh_seconds": 0 if request.GET.get("refresh") == "0" else REFRESH_SECONDS,
    }
    return TemplateResponse(request, "admin/streaming/live.html", context)


def live_streams(alive: set[int], viewers: Counter[int]) -> list[LiveStream]:
    """The newest open streams; ``alive`` are the keys of the processes that live."""
    # Two questions, the first without an order: SQLite would answer one by reading all heads in that order.
    keys = sorted(StreamHead.objects.filter(closed=False).order_by().values_list("pk", flat=True))[-MOST_SHOWN:]
    heads = StreamHead.objects.filter(pk__in=keys).select_related("stream", "process").order_by("-pk")
    now = timezone.now()
    return [_look(head, head.process_id in alive, viewers[head.pk], now) for head in heads]


def _look(head: StreamHead, is_alive: bool, viewers: int, now: datetime) -> LiveStream:
    end = head.next_event_id
    events = events_between(head.pk, max(0, end - SPEED_EVENTS), end - 1) if end else []
    age = (now - head.stream.created_at).total_seconds()
    return LiveStream(
        stream=head.stream,
        process=head.process,
        is_orphan=head.process is not None and not is_alive,
        events=end,
        viewers=viewers,
        tokens_per_second=_speed(events),
        quiet_seconds=max(0.0, age - events[-1].elapsed_ms / 1000) if events else None,
    )


def _speed(events: list[Event]) -> float | None:
    chunks = [event for event in events if event.type is EventType.MESSAGE_CHUNK]
    if len(chunks) < 2:
        return None
    lasted_ms = chunks[-1].elapsed_ms - chunks[0].elapsed_ms
    tokens = sum(int(json.loads(event.data)["tokens"]) for event in chunks[1:])
    return 1000 * tokens / lasted_ms if lasted_ms else None


def _viewers(processes: list[Process]) -> Counter[int]:
    """Readers by the stream's key, as the living processes told when they last renewed their lease."""
    counts: Counter[int] = Counter()
    for process in processes:
        counts.update({int(key): count for key, count in (process.readers or {}).items()})
    return counts
