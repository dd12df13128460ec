"""The ledger, to look at; and prices of one's own, to edit."""

from __future__ import annotations

from decimal import Decimal

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from streaming.admin.base import ReadOnlyAdmin, dollars, per_million
from streaming.admin.filters import StartFilter
from streaming.models import CostRecord, ModelPrice, Stream

TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
MOST_FOUND = 1000


@admin.register(CostRecord)
class CostRecordAdmin(ReadOnlyAdmin):
    list_display = ("stream", "state", "prompt_tokens", "completion_tokens", "cost_usd", "price_source", "settled_at")
    list_filter = ("state", StartFilter)
    list_select_related = ("stream",)
    search_fields = ("stream__stream_id",)
    search_help_text = "A whole stream id"
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("stream", "state", "cost_usd", "total_pico_usd", "created_at", "settled_at")}),
        ("Tokens", {"fields": (*TOKENS, "raw_usage")}),
        (
            "Unit prices (USD per million tokens)",
            {"fields": ("price_source", "input_usd", "output_usd", "cached_input_usd", "cache_write_usd")},
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CostRecord], search_term: str
    ) -> tuple[QuerySet[CostRecord], bool]:
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        streams = Stream.objects.filter(stream_id=term).order_by()[:MOST_FOUND]
        return queryset.filter(pk__in=list(streams.values_list("pk", flat=True))), False

    @admin.display(description="Cost (USD)")
    def cost_usd(self, record: CostRecord) -> str:
        return dollars(record.total_pico_usd)

    @admin.display(description="Input")
    def input_usd(self, record: CostRecord) -> Decimal | None:
        return per_million(record.input_price)

    @admin.display(description="Output")
    def output_usd(self, record: CostRecord) -> Decimal | None:
        return per_million(record.output_price)

    @admin.display(description="Cached input")
    def cached_input_usd(self, record: CostRecord) -> Decimal | None:
        return per_million(record.cached_input_price)

    @admin.display(description="Cache write")
    def cache_write_usd(self, record: CostRecord) -> Decimal | None:
        return per_million(record.cache_write_price)


@admin.register(ModelPrice)
class ModelPriceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("provider", "model", "starts_at", "input_usd", "output_usd", "cached_input_usd", "cache_write_usd")
    list_filter = ("provider",)
    search_fields = ("model",)
