"""Middleware of our own."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import SplitResult

from asgiref.sync import iscoroutinefunction
from corsheaders.middleware import CorsMiddleware
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from streaming.conf import allowed_origins

ADMIN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere."""

SANE = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)


@sync_and_async_middleware
def request_id(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Take ``X-Request-Id`` if it is sane, or make one; answer it. ``request.request_id`` from here on."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            identified = _identify(request)
            awaited: Awaitable[HttpResponseBase] = get_response(request)
            return _tell(await awaited, identified)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        identified = _identify(request)
        return _tell(get_response(request), identified)

    return answer


@sync_and_async_middleware
def admin_policy(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A strict Content-Security-Policy for the pages of the admin, which show what strangers wrote."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            awaited: Awaitable[HttpResponseBase] = get_response(request)
            return _restrict(request, await awaited)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        return _restrict(request, get_response(request))

    return answer


class Cors(CorsMiddleware):
    """CORS for the origins that are listed, letter for letter, and for no pattern; not in use where none is."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        if not allowed_origins():
            raise MiddlewareNotUsed("CORS_ALLOWED_ORIGINS is empty")
        super().__init__(get_response)

    def origin_found_in_white_lists(self, origin: str, url: SplitResult) -> bool:
        return origin in allowed_origins()


def sane_or_new(given: str) -> str:
    """A request's id as its client gave it, or one of our own."""
    return given if SANE.fullmatch(given) else secrets.token_hex(8)


def _identify(request: HttpRequest) -> str:
    identified = sane_or_new(request.headers.get("X-Request-Id", ""))
    request.request_id = identified  # type: ignore[attr-defined]
    return identified


def _restrict(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if request.resolver_match is not None and request.resolver_match.app_name == "admin":
        response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY)
    return response


def _tell(response: HttpResponseBase, identified: str) -> HttpResponseBase:
    response.headers["X-Request-Id"] = identified
    return response
