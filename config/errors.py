"""Error pages: what Django refuses before a view sees it is, under ``/api/``, a problem document too."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from streaming.errors import FieldError, InvalidRequest
from streaming.responses import problem


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, e.g. for a ``Host`` that is not in ``ALLOWED_HOSTS``."""
    if request.path.startswith("/api/"):
        return problem(InvalidRequest(FieldError("request", "is malformed, or its Host is not one of this server")))
    return defaults.bad_request(request, exception)
