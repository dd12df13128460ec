"""Admin of the prompt templates: edited with a preview, every version kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from magic import library, triage_admin
from magic.definitions import Definition, dump_yaml, load_yaml, make_definition
from magic.errors import TemplateFailed
from magic.inputs import Input
from magic.models import PromptTemplate, TemplateVersion
from magic.rendering import OutputFormat, renderer
from magic.values import check_values, example
from streaming.errors import Refusal
from streaming.pricing import count_tokens

__all__ = ["PromptTemplateAdmin", "triage_admin"]

YAML_FIELDS = ("inputs", "triage")


class TemplateForm(forms.ModelForm):  # type: ignore[type-arg]
    """A template as people edit it: what is structured, as YAML."""

    inputs = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 24, "cols": 110, "spellcheck": "false"}),
        help_text="YAML: a list of id, label, type, and where needed required, default, help, enum, validators. Types: "
        "string, text, int, float, bool, date, enum, multi-enum, email, url.",
    )
    body = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 36, "cols": 110}),
        strip=False,
        help_text="Markdown with Jinja. Filters of our own: quoted and fenced set off what was put in; lines, cell, "
        "long_date.",
    )
    triage = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "cols": 110, "spellcheck": "false"}),
        help_text="YAML: the categories of messages that it suits, and in fill which inputs are the message's content, "
        "subject or from_email.",
    )
    values = forms.CharField(
        required=False,
        label="Values of the preview",
        widget=forms.Textarea(attrs={"rows": 6, "cols": 110, "spellcheck": "false"}),
        help_text="YAML: a value for an input's id; of those left out an example is made. Not kept.",
    )

    class Meta:
        model = PromptTemplate
        fields = ("name", "title", "description", "inputs", "body", "triage", "enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            declared = self.instance.definition.model_dump(mode="json", exclude_defaults=True)
            for name in YAML_FIELDS:
                self.initial[name] = dump_yaml(declared[name]) if declared.get(name) else ""

    def clean_inputs(self) -> Any:
        return self._yaml("inputs", [])

    def clean_triage(self) -> Any:
        return self._yaml("triage", {})

    def clean_values(self) -> Any:
        values = self._yaml("values", {})
        if not isinstance(values, dict):
            raise forms.ValidationError("is not a mapping of ids to values")
        return values

    def clean_body(self) -> str:
        body: str = self.cleaned_data["body"]
        return body.replace("\r\n", "\n").strip("\n") + "\n"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                self.definition = self._defined(cleaned)
                renderer.check(self.definition.body, [each.id for each in self.definition.inputs])
            except TemplateFailed as error:
                self.add_error("body", error.reason)
            except (Refusal, ValueError) as error:
                self.add_error(None, str(error))
        return cleaned

    def _defined(self, cleaned: dict[str, Any]) -> Definition:
        name = cleaned.get("name", self.instance.name)
        fields = ("title", "description", "inputs", "body", "triage")
        return make_definition({"name": name, **{field: cleaned[field] for field in fields}})

    def _yaml(self, field: str, empty: Any) -> Any:
        try:
            return load_yaml(self.cleaned_data[field]) or empty
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None


class VersionInline(admin.TabularInline):  # type: ignore[type-arg]
    model = TemplateVersion
    extra = 0
    can_delete = False
    fields = readonly_fields = ("version", "origin", "created_at", "as_yaml")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="Content")
    def as_yaml(self, version: TemplateVersion) -> str:
        return format_html("<details><summary>Show</summary><pre>{}</pre></details>", dump_yaml(version.content))


@admin.register(PromptTemplate)
class PromptTemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What is shipped can be changed and disabled, not deleted: the next ``migrate`` would bring it back."""

    form = TemplateForm
    change_form_template = "admin/magic/prompttemplate/change_form.html"
    inlines = (VersionInline,)
    list_display = ("name", "title", "version", "state", "enabled", "updated_at")
    list_filter = ("enabled",)
    search_fields = ("name", "title", "description")
    actions = ("enable", "disable", "take_shipped")
    fields = ("name", "title", "description", "enabled", "inputs", "body", "triage", "values")

    @admin.display(description="State")
    def state(self, row: PromptTemplate) -> str:
        if row.shipped_version is None:
            return "made here"
        if not row.is_changed:
            return "as shipped"
        return "changed; a newer version was shipped" if library.has_newer(row) else "changed"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: PromptTemplate | None = None) -> bool:
        shipped = obj is not None and obj.shipped_version is not None
        return not shipped and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_model(self, request: HttpRequest, obj: PromptTemplate, form: Any, change: bool) -> None:
        before = PromptTemplate.objects.filter(pk=obj.pk).first()
        if before is not None and before.definition.digest == obj.definition.digest:
            obj.save(update_fields=["enabled", "updated_at"])
        else:
            library.save(obj, TemplateVersion.Origin.EDITED)

    @admin.action(description="Offer the selected templates", permissions=["change"])
    def enable(self, request: HttpRequest, chosen: QuerySet[PromptTemplate]) -> None:
        chosen.update(enabled=True)

    @admin.action(description="No longer offer the selected templates", permissions=["change"])
    def disable(self, request: HttpRequest, chosen: QuerySet[PromptTemplate]) -> None:
        chosen.update(enabled=False)

    @admin.action(description="Take what is shipped, in place of the changes", permissions=["change"])
    def take_shipped(self, request: HttpRequest, chosen: QuerySet[PromptTemplate]) -> None:
        known = [row for row in chosen if row.name in library.shipped()]
        for row in known:
            library.take_shipped(row)
        level = messages.SUCCESS if len(known) == len(chosen) else messages.WARNING
        self.message_user(request, f"Now as shipped: {len(known)} of {len(chosen)}. The changes are kept below.", level)

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview)
        return [path("preview/", preview, name="magic_prompttemplate_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """What is in the form, rendered, without saving it."""
        if request.method != "POST" or not self.has_view_or_change_permission(request):
            raise PermissionDenied
        row = PromptTemplate.objects.filter(pk=_number(request.POST.get("pk"))).first()
        data = request.POST.copy()
        data.setdefault("name", row.name if row else "")
        form = TemplateForm(data, instance=row)
        context = {**self.admin_site.each_context(request), "title": "Preview", "opts": self.opts, "form": form}
        if form.is_valid():
            context |= _shown(form.definition, form.cleaned_data["values"])
        return TemplateResponse(request, "admin/magic/prompttemplate/preview.html", context)


def _shown(definition: Definition, given: dict[str, Any]) -> dict[str, Any]:
    """A template with example values, or what is wrong with it."""
    values, errors = check_values(definition.inputs, {**_examples(definition.inputs), **given})
    if errors:
        return {"problems": [f"{error.name}: {error.reason}" for error in errors]}
    try:
        rendered = renderer.render(definition, values, OutputFormat.HTML).result()
    except TemplateFailed as error:
        return {"problems": [f"{error.detail} {error.reason}"]}
    except Refusal as error:
        return {"problems": [error.detail]}
    html = mark_safe(rendered.document.decode())  # made safe by nh3
    return {"html": html, "prompt": rendered.prompt, "tokens": count_tokens(rendered.prompt), "values": values}


def _examples(inputs: tuple[Input, ...]) -> dict[str, Any]:
    return {declared.id: example(declared) for declared in inputs}


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else 0
