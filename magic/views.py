"""The web page. Everything it shows comes from the API, by the modules in ``static/magic/``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from magic import libraries
from streaming import identity
from streaming.conf import settings

SHEETS = ("base", "layout", "answer", "prose", "composer", "sheets", "icons")
"""The style sheets, in their order."""

# No inline script or style, nothing from elsewhere: an answer is untrusted text.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


@require_safe
async def page(request: HttpRequest) -> HttpResponse:
    """``GET /magic``. A browser that is new here gets its anonymous identity with the page."""
    context = {
        "api": "/api/v1",
        "max_chars": settings.STREAM_MAX_MESSAGE_CHARS,
        "default_model": settings.STREAM_DEFAULT_MODEL,
        "sheets": [static(f"magic/styles/{name}.css") for name in SHEETS],
        "markdown": libraries.url_of("magic/vendor/smd.js"),
        "highlighting": libraries.url_of("magic/vendor/highlight.js"),
        "font": libraries.url_of("magic/vendor/inter.woff2"),
    }
    response = render(request, "magic/magic.html", context)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
    response["Cache-Control"] = "private, no-cache"
    if identity.anonymous(request) is None:
        identity.remember(response, identity.new_anonymous(), secure=request.is_secure())
    return response
