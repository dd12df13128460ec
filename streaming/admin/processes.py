"""Server processes: who lives, since when, with what."""

from __future__ import annotations

from django.contrib import admin

from streaming.admin.base import ReadOnlyAdmin
from streaming.lease import is_dead, store_clock
from streaming.models import Process


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "kind",
        "version",
        "alive",
        "heartbeat",
        "open_streams",
        "reader_count",
        "draining",
        "started_at",
        "stopped_at",
    )
    list_filter = ("kind", "draining")
    ordering = ("-pk",)
    fields = (*list_display, "lease_seconds")

    @admin.display(boolean=True)
    def alive(self, process: Process) -> bool:
        return not Process.objects.filter(is_dead(store_clock()), pk=process.pk).exists()

    @admin.display(description="Last heartbeat")
    def heartbeat(self, process: Process) -> str:
        ago = store_clock() - process.renewed
        return f"{ago:.1f} s ago" if ago >= 0 else "before the machine was started"

    @admin.display(description="Open streams")
    def open_streams(self, process: Process) -> int:
        return process.streamhead_set.filter(closed=False).count()

    @admin.display(description="Readers")
    def reader_count(self, process: Process) -> int:
        return sum((process.readers or {}).values()) if self.alive(process) else 0
