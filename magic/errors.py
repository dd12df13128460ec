"""What this app refuses, besides what ``streaming`` does.

::

    streaming.errors.Refusal
    ├── NoSuchResource
    │   └── TemplateNotFound    404
    ├── TemplateFailed          422, a template that makes no prompt of valid inputs
    └── TriageFailed            502, a model did not answer, or not with what was asked of it
"""

from __future__ import annotations

from streaming.errors import NoSuchResource, Refusal


class TemplateNotFound(NoSuchResource):
    """404: no template of this name can be used."""

    title = "No such template"

    def __init__(self) -> None:
        super().__init__("There is no template of this name; see /api/templates.")


class TemplateFailed(Refusal):
    """422: the inputs are valid, and the template makes no prompt of them.

    ``detail`` is for everybody; ``reason`` is for who wrote the template, and may hold what was put in.
    """

    status = 422
    title = "Template failed"
    error_type = "template_failed"

    def __init__(self, detail: str, reason: str = "") -> None:
        super().__init__(detail)
        self.reason = reason or detail


class TriageFailed(Refusal):
    """502: a model did not answer, or twice not with what was asked of it. What it cost is in the ledger."""

    status = 502
    title = "Triage failed"
    error_type = "triage_failed"
