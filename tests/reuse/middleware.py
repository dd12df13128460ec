from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def stamp(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A synchronous middleware of the project's own."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers["X-Project"] = "reuse"
        return response

    return answer
