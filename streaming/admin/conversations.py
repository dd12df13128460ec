"""Conversations, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from streaming.admin.base import ReadOnlyAdmin
from streaming.models import Conversation


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ("conversation_id", "issuer", "user_id", "created_at", "updated_at", "erased_at")
    search_fields = ("conversation_id__startswith", "user_id__startswith")
    ordering = ("-pk",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the title, which is the owner's text, for who may not read texts."""
        title = ("title",) if request.user.has_perm("streaming.view_stream_text") else ()
        return (*self.list_display, *title, "erasing")
