"""Streams: the list, one stream with all that is known of it, and the ways to the pages about all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from streaming.admin.base import ReadOnlyAdmin, dollars, per_million, seconds
from streaming.admin.costs import page as costs_page
from streaming.admin.filters import StartFilter, distinct, value_filter
from streaming.admin.live import page as live_page
from streaming.admin.stream_actions import StreamActions
from streaming.admin.timeline import page as timeline_page
from streaming.eventlog.stored import text_until
from streaming.lease import is_dead, store_clock
from streaming.models import Process, Stream

MOST_FOUND = 1000
"""Streams that a search finds."""
MOST_ISSUERS = 1000
"""API keys, with sessions and open access, among whose users a search looks."""

TIMES = ("created_at", "dispatched_at", "finished_at", "first_token", "duration", "sealed_at", "pruned_at")
PLACE = ("conversation_id", "parent", "continues")
TEXTS = ("message", "system", "answer")


@admin.register(Stream)
class StreamAdmin(StreamActions, ReadOnlyAdmin):
    list_display = (
        "stream_id",
        "status",
        "owner",
        "model",
        "tokens",
        "priced",
        "first_token",
        "duration",
        "resumes",
        "created_at",
    )
    list_filter = (
        "status",
        *(value_filter(name) for name in ("provider", "model", "template", "error_type")),
        StartFilter,
    )
    list_select_related = ("cost", "head")
    search_fields = ("stream_id",)
    search_help_text = "A stream id or its beginning, or a whole user id"
    ordering = ("-created_at", "-pk")
    actions = ("stop", "export", "forget")
    fieldsets = (
        (None, {"fields": ("stream_id", "status", "finish_reason", "error_type", "error", "events")}),
        ("Asked", {"fields": ("owner", *PLACE, "model", "provider", "template", *TEXTS)}),
        ("Parameters", {"fields": ("temperature", "max_tokens", "fingerprint", "request_id", "format")}),
        (
            "Times",
            {
                "fields": (
                    "created_at",
                    "dispatched_at",
                    "finished_at",
                    "first_token",
                    "duration",
                    "sealed_at",
                    "pruned_at",
                )
            },
        ),
        ("Log", {"fields": ("lease", "attempt", "next_event_id", "closed", "resumes")}),
        ("Cost", {"fields": ("tokens", "cost_usd", "cost_state", "unit_prices", "raw_usage")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Stream | None = None) -> Any:
        """Without prompt and answer for who may not read them."""
        if may_read_texts(request):
            return self.fieldsets
        return [
            (title, {"fields": tuple(name for name in options["fields"] if name not in TEXTS)})
            for title, options in self.fieldsets
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Without Django's side bar, which would take the room of three columns."""
        return super().changelist_view(request, {"is_nav_sidebar_enabled": False, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Stream], search_term: str
    ) -> tuple[QuerySet[Stream], bool]:
        """By one look into each index; a condition over both would read all rows."""
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        by_id = Stream.objects.filter(_begins_with(term)).order_by()[:MOST_FOUND]
        issuers = list(distinct(Stream.objects.all(), "issuer", MOST_ISSUERS))
        by_user = Stream.objects.filter(issuer__in=issuers, user_id=term).order_by("-pk")[:MOST_FOUND]
        keys = {*by_id.values_list("pk", flat=True), *by_user.values_list("pk", flat=True)}
        return queryset.filter(pk__in=keys), False

    def get_urls(self) -> list[URLPattern]:
        pages: tuple[tuple[str, Callable[..., HttpResponse], str], ...] = (
            ("<int:pk>/events/", timeline_page, "stream_events"),
            ("live/", live_page, "live"),
            ("costs/", costs_page, "costs"),
        )
        own = [
            path(route, self.admin_site.admin_view(view), {"model_admin": self}, name=f"streaming_{name}")
            for route, view, name in pages
        ]
        return [*own, *super().get_urls()]

    @admin.display(description="Owner")
    def owner(self, stream: Stream) -> str:
        return f"{stream.issuer}: {stream.user_id}"

    @admin.display(description="Tokens in + out")
    def tokens(self, stream: Stream) -> str:
        return f"{stream.cost.prompt_tokens} + {stream.cost.completion_tokens}"

    @admin.display(description="Cost (USD)")
    def priced(self, stream: Stream) -> str:
        record = stream.cost
        return record.state if record.total_pico_usd is None else f"{dollars(record.total_pico_usd)} {record.state}"

    @admin.display(description="Cost (USD)")
    def cost_usd(self, stream: Stream) -> str:
        return dollars(stream.cost.total_pico_usd)

    @admin.display(description="Cost state")
    def cost_state(self, stream: Stream) -> str:
        return stream.cost.state

    @admin.display(description="First token", ordering=None)
    def first_token(self, stream: Stream) -> str:
        return seconds(stream.first_token_ms)

    @admin.display(description="Duration", ordering=None)
    def duration(self, stream: Stream) -> str:
        return seconds(stream.latency_ms)

    @admin.display(description="Answer")
    def answer(self, stream: Stream) -> str:
        text = text_until(stream.pk, stream.head.next_event_id)
        return format_html('<div class="answer">{}</div>', text) if text else "–"

    @admin.display(description="Lease held by")
    def lease(self, stream: Stream) -> str:
        process = stream.head.process
        if process is None:
            return "nobody yet"
        is_gone = Process.objects.filter(is_dead(store_clock()), pk=process.pk).exists()
        url = reverse("admin:streaming_process_change", args=[process.pk])
        return format_html('<a href="{}">{}</a>, {}', url, process.name, "which is gone" if is_gone else "alive")

    @admin.display
    def attempt(self, stream: Stream) -> int:
        return stream.head.attempt

    @admin.display(description="Events")
    def next_event_id(self, stream: Stream) -> int:
        return stream.head.next_event_id

    @admin.display(boolean=True)
    def closed(self, stream: Stream) -> bool:
        return stream.head.closed

    @admin.display(description="Unit prices (USD per million tokens)")
    def unit_prices(self, stream: Stream) -> str:
        cost = stream.cost
        if cost.input_price is None:
            return "unknown"
        names = ("input", "output", "cached_input", "cache_write")
        prices = ", ".join(f"{name.replace('_', ' ')} {per_million(getattr(cost, f'{name}_price'))}" for name in names)
        return f"{prices} ({cost.price_source})"

    @admin.display(description="The provider's own usage")
    def raw_usage(self, stream: Stream) -> str:
        return str(stream.cost.raw_usage or "none was told")

    @admin.display(description="Events")
    def events(self, stream: Stream) -> str:
        url = reverse("admin:streaming_stream_events", args=[stream.pk])
        return format_html('<a href="{}">Timeline of the {} events</a>', url, stream.head.next_event_id)


def may_read_texts(request: HttpRequest) -> bool:
    """Whether prompts and answers are shown to who asks."""
    return request.user.has_perm("streaming.view_stream_text")


def _begins_with(term: str) -> Q:
    """Streams whose id begins with a text, in a form that the database's index answers."""
    if connection.vendor == "postgresql":
        return Q(stream_id__startswith=term)
    return Q(stream_id__gte=term, stream_id__lt=f"{term}\U0010ffff")
