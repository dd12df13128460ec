"""The web page. Everything it shows comes from the API, by the modules in ``static/magic/``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from streaming.conf import settings

# No inline script or style, nothing from elsewhere: an answer is untrusted text.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


@require_safe
async def page(request: HttpRequest) -> HttpResponse:
    """``GET /magic``."""
    context = {
        "api": "/api/v1",
        "max_chars": settings.STREAM_MAX_MESSAGE_CHARS,
        "default_model": settings.STREAM_DEFAULT_MODEL,
    }
    response = render(request, "magic/magic.html", context)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
