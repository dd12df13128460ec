"""Results of triage in the admin: looked at, never changed. What was written needs the permission to read prompts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from magic.definitions import dump_yaml
from magic.models import TriageResult
from streaming.admin.base import ReadOnlyAdmin, dollars
from streaming.models import Stream

READ_TEXT = "streaming.view_stream_text"
VERDICT = ("state", "category", "priority", "suggested_template", "template_version", "model", "estimated_usd", "error")
TEXT = ("subject", "from_email", "content", "summary", "action_items_shown", "reasons_shown", "inputs_shown")


@admin.register(TriageResult)
class TriageResultAdmin(ReadOnlyAdmin):
    list_display = ("artifact_id", "state", "category", "priority", "suggested_template", "owner", "cost", "created_at")
    list_filter = ("state", "category", "priority")
    list_select_related = ("stream__cost", "repair__cost")
    search_fields = ("stream__stream_id",)
    search_help_text = "A whole artifact id"
    ordering = ("-pk",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        text = (("Message and verdict", {"fields": TEXT}),) if request.user.has_perm(READ_TEXT) else ()
        times = ("owner", "call", "repaired_by", "cost", "created_at", "finished_at")
        return ((None, {"fields": VERDICT}), *text, ("Call", {"fields": times}))

    @admin.display(description="Artifact")
    def artifact_id(self, result: TriageResult) -> str:
        return result.stream.stream_id

    @admin.display
    def owner(self, result: TriageResult) -> str:
        return f"{result.stream.issuer}: {result.stream.user_id}"

    @admin.display(description="Stream")
    def call(self, result: TriageResult) -> str:
        return _link(result.stream)

    @admin.display(description="Second call")
    def repaired_by(self, result: TriageResult) -> str:
        return "none was needed" if result.repair is None else _link(result.repair)

    @admin.display(description="Cost (USD)")
    def cost(self, result: TriageResult) -> str:
        calls = [stream.cost.total_pico_usd for stream in (result.stream, result.repair) if stream is not None]
        return dollars(None if None in calls else sum(filter(None, calls)))

    @admin.display(description="Estimate for the template (USD)")
    def estimated_usd(self, result: TriageResult) -> str:
        return dollars(result.estimated_pico_usd)

    @admin.display(description="Action items")
    def action_items_shown(self, result: TriageResult) -> str:
        return "\n".join(result.action_items)

    @admin.display(description="Reasons")
    def reasons_shown(self, result: TriageResult) -> str:
        return "\n".join(result.reasons)

    @admin.display(description="Inputs")
    def inputs_shown(self, result: TriageResult) -> str:
        return format_html("<pre>{}</pre>", dump_yaml(result.inputs) if result.inputs else "")


def _link(stream: Stream) -> str:
    url = reverse("admin:streaming_stream_change", args=[stream.pk])
    return format_html('<a href="{}">{}</a>', url, stream.stream_id)
