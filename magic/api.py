"""Prompt templates over HTTP: what there is, and what becomes of them. Described at ``/api/docs``."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema

from magic import library
from magic.definitions import Definition
from magic.documents import CONTENT_TYPE as DOCX
from magic.estimates import Estimate, estimate
from magic.rendering import OutputFormat, Rendered, renderer
from magic.values import check_values
from streaming.bodies import parameters
from streaming.errors import FieldError, InvalidRequest
from streaming.openapi import problems
from streaming.views import started

router = Router(tags=["templates"])

RENDER = {
    "type": "object",
    "required": ["template_name"],
    "properties": {
        "template_name": {"type": "string", "description": "The `name` of one of /api/templates."},
        "inputs": {
            "type": ["object", "null"],
            "description": "A value for each input's `id`; left out: the default.",
        },
        "output_format": {"enum": [*(each.value for each in OutputFormat), None], "default": OutputFormat.TEXT.value},
    },
}


class InputOut(Schema):
    """An input: what a form needs to ask for it. ``enum`` is null but for enum and multi-enum."""

    id: str
    label: str
    type: str
    required: bool
    default: Any
    help: str
    enum: list[str] | None
    validators: dict[str, Any]


class TemplateOut(Schema):
    """A prompt template. ``version`` grows with each change."""

    name: str
    version: int
    title: str
    description: str
    inputs: list[InputOut]


class TemplatesOut(Schema):
    templates: list[TemplateOut]


class RenderOut(Schema):
    """A rendered prompt. ``prompt`` is what a model is sent, ``rendered`` the same in the format that was asked for:
    text, a fragment of HTML, or a docx in base64 (see ``encoding``). ``estimated_cost`` is USD to send the prompt, per
    model that can be used now, without the answer; null where no price is known."""

    template_name: str
    version: int
    output_format: str
    content_type: str
    encoding: str
    filename: str
    rendered: str
    prompt: str
    estimated_tokens: int
    estimated_cost: dict[str, float | None]


@router.get("/templates", response=TemplatesOut, summary="The prompt templates")
async def templates(request: HttpRequest) -> dict[str, Any]:
    """Their typed inputs, as ``POST /api/render`` checks them. Needs no identity: they are the same for everybody."""
    engine = await started()
    return {"templates": [describe(each) for each in await engine.store.read(library.usable)]}


@router.post(
    "/render",
    response=RenderOut,
    summary="Fill in a prompt template",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": RENDER}}},
        "responses": {
            200: {"content": {DOCX: {"schema": {"type": "string", "format": "binary"}}}},
            **problems({"404": "No such template.", "422": "The template itself is broken, or takes too long."}),
        },
    },
)
async def render(request: HttpRequest) -> Any:
    """Asks no model, costs nothing, keeps nothing, and needs no identity.

    A docx is base64 in JSON, or the file itself where `Accept` names its type and not JSON.
    """
    name, inputs, output_format = _asked(parameters(request))
    engine = await started()
    definition = await engine.store.read(library.find, name)
    values, errors = check_values(definition.inputs, inputs)
    if errors:
        raise InvalidRequest(*errors)
    rendered = await asyncio.wrap_future(renderer.render(definition, values, output_format))
    if output_format is OutputFormat.DOCX and _wants_file(request):
        return _file(definition, rendered)
    return _answer(definition, rendered, await engine.store.read(estimate, rendered.prompt))


def describe(definition: Definition) -> dict[str, Any]:
    """A template as the API tells it."""
    return {
        "name": definition.name,
        "version": definition.version,
        "title": definition.title,
        "description": definition.description,
        "inputs": [
            {**each.model_dump(mode="json"), "validators": each.validators.model_dump(mode="json", exclude_none=True)}
            for each in definition.inputs
        ],
    }


def _asked(values: dict[str, Any]) -> tuple[str, dict[str, Any], OutputFormat]:
    errors = []
    name, inputs, output_format = (
        values.get("template_name"),
        values.get("inputs"),
        values.get("output_format"),
    )
    if not isinstance(name, str) or not name:
        errors.append(FieldError("template_name", "is required: the name of a template"))
    if inputs is not None and not isinstance(inputs, dict):
        errors.append(FieldError("inputs", "must be an object"))
    if output_format is not None and output_format not in list(OutputFormat):
        errors.append(FieldError("output_format", f"must be one of: {', '.join(OutputFormat)}"))
    if errors:
        raise InvalidRequest(*errors)
    return str(name), inputs or {}, OutputFormat(output_format or OutputFormat.TEXT)


def _answer(definition: Definition, rendered: Rendered, estimated: Estimate) -> dict[str, Any]:
    is_file = rendered.output_format is OutputFormat.DOCX
    return {
        "template_name": definition.name,
        "version": definition.version,
        "output_format": rendered.output_format,
        "content_type": rendered.output_format.content_type,
        "encoding": "base64" if is_file else "utf-8",
        "filename": _filename(definition, rendered),
        "rendered": (base64.b64encode(rendered.document) if is_file else rendered.document).decode(),
        "prompt": rendered.prompt,
        "estimated_tokens": estimated.tokens,
        "estimated_cost": estimated.costs,
    }


def _file(definition: Definition, rendered: Rendered) -> HttpResponse:
    disposition = f'attachment; filename="{_filename(definition, rendered)}"'
    headers = {"Content-Disposition": disposition, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(rendered.document, content_type=rendered.output_format.content_type, headers=headers)


def _filename(definition: Definition, rendered: Rendered) -> str:
    endings = {OutputFormat.TEXT: "md", OutputFormat.HTML: "html", OutputFormat.DOCX: "docx"}
    return f"{definition.name}.{endings[rendered.output_format]}"


def _wants_file(request: HttpRequest) -> bool:
    accepted = {str(media).split(";")[0].strip() for media in request.accepted_types}
    return DOCX in accepted and "application/json" not in accepted
