"""The responses of the API: event streams, problem documents, JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse

from streaming.errors import MethodNotAllowed, Refusal
from streaming.journal import count_refusal
from streaming.reader import Reader


class EventStreamResponse(StreamingHttpResponse):
    """``text/event-stream`` whose parts go to the server as they are, without Django's wrapping of each."""

    def __init__(self, reader: Reader, *, stream_id: str, http_version: str) -> None:
        super().__init__(reader, content_type="text/event-stream")
        self.headers["Cache-Control"] = "no-cache"
        self.headers["X-Accel-Buffering"] = "no"
        self.headers["X-Stream-Id"] = stream_id
        if http_version == "1.1":
            self.headers["Connection"] = "keep-alive"
        self._reader = reader

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._reader


def no_content(stream_id: str) -> HttpResponse:
    """204: the stream is closed and the client has all of it."""
    response = HttpResponse(status=204, headers={"X-Stream-Id": stream_id, "Cache-Control": "no-cache"})
    del response.headers["Content-Type"]
    return response


def problem(refusal: Refusal) -> JsonResponse:
    """A refusal as ``application/problem+json`` (RFC 9457)."""
    count_refusal(refusal)
    document = {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "error_type": refusal.extra.get("error_type", refusal.error_type),
        **refusal.extra,
    }
    return _problem(document, refusal.retry_after)


def not_allowed(*methods: str) -> JsonResponse:
    """405, naming the methods that there are."""
    refused = problem(MethodNotAllowed(f"Use {' or '.join(methods)}."))
    refused.headers["Allow"] = ", ".join(methods)
    return refused


def internal_error() -> JsonResponse:
    """500 that tells nothing."""
    return _problem(
        {
            "type": "about:blank",
            "title": "Internal error",
            "status": 500,
            "detail": "Something went wrong on our side.",
            "error_type": "internal",
        }
    )


def json_response(data: dict[str, Any], status: int = 200, **headers: str) -> JsonResponse:
    """JSON that no cache keeps."""
    return JsonResponse(data, status=status, headers={"Cache-Control": "no-store", **headers})


def http_version(request: HttpRequest) -> str:
    """``1.0``, ``1.1`` or ``2``; of a WSGI request, ``1.1``."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    return str(scope.get("http_version", "1.1"))


def _problem(document: dict[str, Any], retry_after: int | None = None) -> JsonResponse:
    response = JsonResponse(document, status=document["status"], content_type="application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response
