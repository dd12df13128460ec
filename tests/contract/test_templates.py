"""§7 ``GET /api/templates``, ``POST /api/render``: the prompt templates, filled in over HTTP."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from docx import Document

from streaming.pricing import count_tokens
from tests.contract.wire import CANARY, JSON, Answer, Client, client, fresh, session
from tests.servers import Server

TEMPLATES, RENDER = "/api/templates", "/api/render"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TYPES = {"string", "text", "int", "float", "bool", "date", "enum", "multi-enum", "email", "url"}


@pytest.fixture(params=["daphne", "uvicorn", "on_postgresql"])
def each(request: pytest.FixtureRequest) -> Client:
    """Somebody who asks each kind of server, on each kind of database."""
    return client(request.getfixturevalue(request.param))


def render(who: Client, name: Any = "summary", inputs: Any = None, **more: Any) -> Answer:
    headers = more.pop("headers", None)
    return who.post({"template_name": name, "inputs": inputs, **more}, path=RENDER, headers=headers)


def test_templates_have_names_versions_and_typed_inputs(each: Client) -> None:
    answer = each.get(TEMPLATES)
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").split(";")[0] == JSON
    assert set(answer.json) == {"templates"}
    assert len(answer.json["templates"]) >= 8
    for template in answer.json["templates"]:
        assert {"name", "version", "description", "inputs"} <= set(template)
        assert template["version"] >= 1 and template["description"]
        for declared in template["inputs"]:
            assert {"id", "label", "type", "required", "default", "help", "enum"} <= set(declared)
            assert declared["type"] in TYPES
            assert bool(declared["enum"]) == (declared["type"] in {"enum", "multi-enum"})


def test_every_template_is_rendered_in_every_format(each: Client) -> None:
    for template in each.get(TEMPLATES).json["templates"]:
        values = {i["id"]: value_for(i) for i in template["inputs"] if i["required"] and i["default"] is None}
        for kind in ("text", "html", "docx"):
            answer = render(each, template["name"], values, output_format=kind)
            assert answer.status == 200, (template["name"], answer.body)
            shown = answer.json
            assert (shown["template_name"], shown["version"]) == (template["name"], template["version"])
            assert shown["output_format"] == kind
            assert shown["estimated_tokens"] == count_tokens(shown["prompt"])
            assert shown["estimated_cost"]["demo"] == pytest.approx(shown["estimated_tokens"] * 0.15e-6)
            if kind == "text":
                assert shown["rendered"] == shown["prompt"] and shown["encoding"] == "utf-8"
            elif kind == "html":
                assert shown["rendered"].startswith("<") and "<script" not in shown["rendered"]
            else:
                assert shown["content_type"] == DOCX and shown["encoding"] == "base64"
                assert Document(io.BytesIO(base64.b64decode(shown["rendered"]))).paragraphs


def test_a_docx_is_a_file_where_only_that_is_accepted(anyone: Client) -> None:
    asked = {"output_format": "docx", "headers": {"Accept": DOCX}}
    answer = render(anyone, inputs={"text": "Hello"}, **asked)
    assert (answer.status, answer.header("Content-Type")) == (200, DOCX)
    assert answer.header("Content-Disposition") == 'attachment; filename="summary.docx"'
    assert Document(io.BytesIO(answer.body)).paragraphs
    for accept in ("*/*", f"application/json, {DOCX}"):
        both = render(anyone, inputs={"text": "Hello"}, output_format="docx", headers={"Accept": accept})
        assert (both.header("Content-Type") or "").split(";")[0] == JSON


def test_all_that_is_wrong_with_the_inputs_is_told_at_once(each: Client) -> None:
    inputs = {"code": "", "language": "cobol", "focus": ["Taste"], "max_findings": "many", "link": "x", "more": 1}
    errors = render(each, "code_review", inputs).errors
    assert set(errors) == {"code", "language", "focus", "max_findings", "link", "more"}
    assert errors["code"] == "is required"
    assert errors["max_findings"] == "must be a whole number"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, {"template_name"}),
        ({"template_name": 7, "inputs": [], "output_format": "pdf"}, {"template_name", "inputs", "output_format"}),
        ({"template_name": "summary", "inputs": "text"}, {"inputs"}),
        ({"template_name": "summary", "output_format": ["text"]}, {"output_format"}),
        ({"template_name": "summary", "output_format": {}}, {"output_format"}),
        ({"template_name": "summary"}, {"text"}),
        ([], {"body"}),
        (b"{", {"body"}),
        (b'{"template_name": "summary", "inputs": {"text": NaN}}', {"body"}),
    ],
)
def test_a_bad_request_names_what_is_bad(anyone: Client, body: Any, names: set[str]) -> None:
    assert set(anyone.post(body, path=RENDER).errors) == names


@pytest.mark.parametrize("name", ["nothing", "SUMMARY", "summary\0", "../summary", "x" * 10_000, "' OR 1=1 --"])
def test_a_template_that_is_not_there(each: Client, name: str) -> None:
    answer = render(each, name, {})
    assert (answer.status, answer.json["error_type"]) == (404, "not_found")


def test_methods_bodies_and_sizes(anyone: Client) -> None:
    assert anyone.get(RENDER).status == 405
    assert anyone.post({}, path=TEMPLATES).status == 405
    assert anyone.send("POST", RENDER, headers={"Content-Type": "text/plain"}, body=b"x").status == 415
    assert anyone.post(b'{"inputs": "' + b"x" * 1024 * 1024 + b'"}', path=RENDER).status == 413


HOSTILE = [
    "{{ 7 * 7 }}",
    "{% for i in range(9) %}x{% endfor %}",
    "{{ ''.__class__ }}",
    "{0.__class__} %s %(x)s ${x}",
    "</p><script>alert(1)</script><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) ![x](https://elsewhere.example/pixel.png)",
    "> > > > " * 500,
    "[" * 5000,
    "*" * 9999,
    "| a |\n|---|\n" * 500,
    "\u202eright to left \u200b\ufeff \U0001f600",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_put_in_is_text_and_nothing_else(anyone: Client, text: str) -> None:
    plain = render(anyone, inputs={"text": text})
    assert plain.status == 200
    assert all(line.rstrip() in plain.json["rendered"] for line in text.splitlines())
    page = render(anyone, inputs={"text": text}, output_format="html").json["rendered"].lower()
    for danger in ("<script", "<img", 'href="javascript'):
        assert danger not in page
    file = render(anyone, inputs={"text": text}, output_format="docx").json["rendered"]
    Document(io.BytesIO(base64.b64decode(file)))


@pytest.mark.parametrize("text", ["\0", "a\x1bb", "\ud800", "x" * 32_001])
def test_what_no_prompt_can_hold_is_refused_by_name(anyone: Client, text: str) -> None:
    assert set(render(anyone, inputs={"text": text}).errors) == {"text"}


def test_a_prompt_longer_than_a_message_may_be_is_refused(anyone: Client) -> None:
    assert set(render(anyone, inputs={"text": "x" * 32_000}).errors) == {"inputs"}


def test_a_refusal_repeats_nothing_of_what_was_put_in(anyone: Client) -> None:
    # The client checks each answer for it.
    assert render(anyone, inputs={"text": "x", "max_words": CANARY, "form": CANARY}).status == 400


def test_templates_and_render_need_no_identity_and_cost_nothing(guarded: Server) -> None:
    stranger, (someone, _) = client(guarded), session(guarded)
    for who in (stranger, someone):
        assert who.get(TEMPLATES).status == 200
        assert render(who, inputs={"text": "Hello"}).status == 200
    assert someone.get("/api/v1/streams").json["streams"] == []


def test_a_rendered_prompt_is_sent_as_it_is(anyone: Client, user: str) -> None:
    prompt = render(anyone, "explain", {"subject": "rainbows"}).json["prompt"]
    name = fresh()
    assert anyone.begin(user_id=user, stream_id=name, message=prompt).status == 201
    assert anyone.snapshot(name, user_id=user).json["message"] == prompt


def test_many_at_once_are_all_rendered(anyone: Client) -> None:
    def one(number: int) -> bool:
        return f"n{number}." in render(anyone, inputs={"text": f"n{number}."}).json["rendered"]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(40)))


def test_they_are_described(anyone: Client) -> None:
    described = anyone.get("/api/openapi.json").json["paths"]
    operation = described[RENDER]["post"]
    assert set(operation["requestBody"]["content"][JSON]["schema"]["properties"]) == {
        *("template_name", "inputs", "output_format")
    }
    assert {"200", "400", "404", "422", "503"} <= set(operation["responses"])
    assert set(operation["responses"]["200"]["content"]) == {JSON, DOCX}
    assert "get" in described[TEMPLATES]


def value_for(declared: dict[str, Any]) -> Any:
    """A value of an input's type."""
    of_type: dict[str, Callable[[], Any]] = {
        "enum": lambda: declared["enum"][0],
        "multi-enum": lambda: declared["enum"][:1],
        "int": lambda: 1,
        "float": lambda: 0.5,
        "bool": lambda: True,
        "date": lambda: "2026-01-31",
        "email": lambda: "a@example.com",
        "url": lambda: "https://example.com",
    }
    return of_type.get(declared["type"], lambda: "Some words")()
