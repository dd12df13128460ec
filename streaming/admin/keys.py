"""API keys: made and revoked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from streaming import keys
from streaming.models import ApiKey, Scope


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
