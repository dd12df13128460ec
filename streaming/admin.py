"""Admin: streams, their events, costs and processes to look at; prices to edit; API keys to make and revoke."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from streaming import keys
from streaming.eventlog.stored import events_between
from streaming.events import usd
from streaming.lease import is_dead, store_clock
from streaming.models import ApiKey, Conversation, CostRecord, ModelPrice, Process, Scope, Stream
from streaming.pricing import usd_per_million

EVENTS_PER_PAGE = 200
LONG_GAP_MS = 2000
"""A wait between two events that the timeline points out."""


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy only
    """Records of what happened: looked at, never changed."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Stream)
class StreamAdmin(ReadOnlyAdmin):
    list_display = (
        "stream_id",
        "status",
        "owner",
        "model",
        "tokens",
        "cost_usd",
        "cost_state",
        "first_token_ms",
        "latency_ms",
        "created_at",
    )
    list_filter = ("status",)
    list_select_related = ("cost", "head")
    search_fields = ("stream_id__startswith", "user_id__startswith")
    search_help_text = "The beginning of a stream id or a user id"
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("stream_id", "status", "finish_reason", "error_type", "error", "timeline")}),
        ("Asked", {"fields": ("owner", "conversation_id", "parent", "model", "provider", "message", "system")}),
        ("Parameters", {"fields": ("temperature", "max_tokens", "fingerprint", "request_id", "format")}),
        (
            "Times",
            {
                "fields": (
                    "created_at",
                    "dispatched_at",
                    "finished_at",
                    "first_token_ms",
                    "latency_ms",
                    "sealed_at",
                    "pruned_at",
                )
            },
        ),
        ("Log", {"fields": ("producer", "attempt", "next_event_id", "closed")}),
        ("Cost", {"fields": ("tokens", "cost_usd", "cost_state")}),
    )

    @admin.display(description="Owner")
    def owner(self, stream: Stream) -> str:
        return f"{stream.issuer}: {stream.user_id}"

    @admin.display(description="Tokens (in + out)")
    def tokens(self, stream: Stream) -> str:
        return f"{stream.cost.prompt_tokens} + {stream.cost.completion_tokens}"

    @admin.display(description="Cost (USD)")
    def cost_usd(self, stream: Stream) -> str:
        return dollars(stream.cost.total_pico_usd)

    @admin.display(description="Cost state")
    def cost_state(self, stream: Stream) -> str:
        return stream.cost.state

    @admin.display(description="Produced by")
    def producer(self, stream: Stream) -> str:
        return str(stream.head.process or "nobody yet")

    @admin.display
    def attempt(self, stream: Stream) -> int:
        return stream.head.attempt

    @admin.display(description="Events")
    def next_event_id(self, stream: Stream) -> int:
        return stream.head.next_event_id

    @admin.display(boolean=True)
    def closed(self, stream: Stream) -> bool:
        return stream.head.closed

    @admin.display(description="Events")
    def timeline(self, stream: Stream) -> str:
        url = reverse("admin:streaming_stream_events", args=[stream.pk])
        return format_html('<a href="{}">Timeline of the {} events</a>', url, stream.head.next_event_id)

    def get_urls(self) -> list[URLPattern]:
        events = self.admin_site.admin_view(self.events)
        return [path("<int:pk>/events/", events, name="streaming_stream_events"), *super().get_urls()]

    def events(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The log of one stream, a page of events at a time, long waits pointed out."""
        stream = Stream.objects.select_related("head").filter(pk=pk).first()
        if stream is None:
            raise Http404
        if not self.has_view_permission(request, stream):
            raise PermissionDenied
        end = 0 if stream.pruned_at else stream.head.next_event_id
        page = Paginator(range(end), EVENTS_PER_PAGE).get_page(request.GET.get("p"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Events of {stream.stream_id}",
            "opts": self.opts,
            "stream": stream,
            "page": page,
            "rows": _with_gaps(pk, range(page.start_index() - 1, page.end_index()) if end else range(0)),
        }
        return TemplateResponse(request, "admin/streaming/stream/events.html", context)


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ("conversation_id", "issuer", "user_id", "created_at", "updated_at", "erased_at")
    search_fields = ("conversation_id__startswith", "user_id__startswith")
    ordering = ("-pk",)


@admin.register(CostRecord)
class CostRecordAdmin(ReadOnlyAdmin):
    list_display = ("stream", "state", "prompt_tokens", "completion_tokens", "cost_usd", "price_source", "settled_at")
    list_filter = ("state",)
    list_select_related = ("stream",)
    search_fields = ("stream__stream_id__startswith", "stream__user_id__startswith")
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("stream", "state", "cost_usd", "total_pico_usd", "created_at", "settled_at")}),
        (
            "Tokens",
            {
                "fields": (
                    "prompt_tokens",
                    "completion_tokens",
                    "cached_tokens",
                    "cache_write_tokens",
                    "reasoning_tokens",
                )
            },
        ),
        (
            "Unit prices (USD per million tokens)",
            {"fields": ("price_source", "input_usd", "output_usd", "cached_input_usd", "cache_write_usd")},
        ),
    )

    @admin.display(description="Cost (USD)")
    def cost_usd(self, record: CostRecord) -> str:
        return dollars(record.total_pico_usd)

    @admin.display(description="Input")
    def input_usd(self, record: CostRecord) -> Decimal | None:
        return _per_million(record.input_price)

    @admin.display(description="Output")
    def output_usd(self, record: CostRecord) -> Decimal | None:
        return _per_million(record.output_price)

    @admin.display(description="Cached input")
    def cached_input_usd(self, record: CostRecord) -> Decimal | None:
        return _per_million(record.cached_input_price)

    @admin.display(description="Cache write")
    def cache_write_usd(self, record: CostRecord) -> Decimal | None:
        return _per_million(record.cache_write_price)


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "version", "started_at", "alive", "draining", "stopped_at", "open_streams")
    list_filter = ("kind", "draining")
    ordering = ("-pk",)

    @admin.display(boolean=True)
    def alive(self, process: Process) -> bool:
        return not Process.objects.filter(is_dead(store_clock()), pk=process.pk).exists()

    @admin.display(description="Open streams")
    def open_streams(self, process: Process) -> int:
        return process.streamhead_set.filter(closed=False).count()


@admin.register(ModelPrice)
class ModelPriceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("provider", "model", "starts_at", "input_usd", "output_usd", "cached_input_usd", "cache_write_usd")
    list_filter = ("provider",)
    search_fields = ("model",)


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new key: whose it is, what for, and how long."""

    scopes = forms.MultipleChoiceField(choices=Scope.choices, initial=Scope.values, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at")

    def clean_scopes(self) -> str:
        return " ".join(self.cleaned_data["scopes"])


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Keys are made and revoked here, and neither changed nor deleted: their streams keep their name."""

    form = ApiKeyForm
    list_display = ("name", "prefix", "scopes", "usable", "created_at", "expires_at", "revoked_at", "last_used_at")
    search_fields = ("name", "prefix__startswith")
    ordering = ("-pk",)
    actions = ("revoke",)
    fields = ("name", "scopes", "expires_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return super().has_change_permission(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj is None else self.list_display

    @admin.display(boolean=True)
    def usable(self, key: ApiKey) -> bool:
        return ApiKey.objects.usable().filter(pk=key.pk).exists()

    @admin.action(description="Revoke: end the selected keys at once", permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiKey]) -> None:
        count = keys.revoke(list(chosen.values_list("pk", flat=True)))
        self.message_user(request, f"Revoked: {count}. Their open streams close within two seconds.")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        text = keys.issue(obj)
        super().save_model(request, obj, form, change)
        self.message_user(request, f"The key of {obj.name}, shown only now: {text}", messages.WARNING)


def dollars(pico: int | None) -> str:
    """An amount for people: all digits that matter, ``unknown`` where there is none."""
    amount = usd(pico)
    return "unknown" if amount is None else f"{amount.normalize():f}"


def _per_million(pico: int | None) -> Decimal | None:
    return None if pico is None else usd_per_million(pico).normalize()


def _with_gaps(stream: int, ids: range) -> list[dict[str, Any]]:
    """Each event with the time since the one before it; of the first event, since the stream was created."""
    if not ids:
        return []
    before = 0
    rows = []
    for event in events_between(stream, ids[0] - 1, ids[-1]):
        gap = event.elapsed_ms - before
        before = event.elapsed_ms
        if event.event_id in ids:
            rows.append({"event": event, "gap_ms": gap, "long": gap >= LONG_GAP_MS})
    return rows
