"""The ASGI application: the stream endpoint goes past the project's middleware, all else to Django as ever."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.exception import convert_exception_to_response
from django.urls import reverse

from streaming import lifecycle
from streaming.bodies import MAX_BODY_BYTES
from streaming.errors import BodyTooLarge
from streaming.middleware import Cors, request_id, sane_or_new
from streaming.responses import problem

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class _BodyTooLarge(Exception):
    """More than ``MAX_BODY_BYTES`` have come."""


class StreamHandler(ASGIHandler):
    """Django without the project's middleware, for the stream endpoint alone.

    A synchronous middleware would cost every request a thread, and a compressing one would compress each
    frame on its own. The view needs none of them: it identifies and guards by itself. What is left are the
    request's id and CORS.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        inner = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]  # Django has it
        with suppress(MiddlewareNotUsed):
            inner = convert_exception_to_response(Cors(inner))
        self._middleware_chain = convert_exception_to_response(request_id(inner))


class Application:
    """Routes the stream endpoint past the middleware, and starts and stops the engine with the server."""

    def __init__(self) -> None:
        self._pages = ASGIHandler()
        self._streams = StreamHandler()
        # Django keeps a thread for each open response; here all of them share this one.
        self._thread = ThreadPoolExecutor(1, "streams")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif SyncToAsync.thread_sensitive_context.get(None) is None:
            await self._serve(scope, receive, send)
        else:
            # A pipelined request is begun by the end of the one before it, in a context that is over by then.
            await asyncio.create_task(self._serve(scope, receive, send), context=contextvars.Context())

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _path(scope) == _stream_path():
            async with ThreadSensitiveContext(executor=self._thread):
                await _bounded(self._streams, scope, receive, send)
        elif scope["type"] == "http" and _path(scope).startswith(_stream_path() + "/"):
            # A cancel counts also where its client, a beacon, is gone before it is through.
            await _bounded(self._pages, scope, _deaf(receive), send)
        elif scope["type"] == "http" and _path(scope).startswith(_stream_path().removesuffix("v1/stream")):
            await _bounded(self._pages, scope, receive, send)
        else:
            await self._pages(scope, receive, send)


def _path(scope: Scope) -> str:
    """The path within the project, without the server's ``root_path``."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


@functools.cache
def _stream_path() -> str:
    """Where the project has put the stream endpoint. Raises NoReverseMatch where it has not."""
    return reverse("streaming:stream")


def _deaf(receive: Receive) -> Receive:
    """``receive`` that does not tell when the client leaves after its request."""
    complete = False

    async def receive_request() -> Message:
        nonlocal complete
        if complete:
            await asyncio.Future()
        message = await receive()
        complete = not message.get("more_body", False)
        return message

    return receive_request


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            lifecycle.start_in_background()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await lifecycle.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _bounded(handler: ASGIHandler, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a body that is too large, as soon as that shows: Django would take all of it first."""
    headers = dict(scope["headers"])
    taken = 0

    async def bounded_receive() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_BODY_BYTES:
            raise _BodyTooLarge
        return message

    try:
        if headers.get(b"content-length", b"").isdigit() and int(headers[b"content-length"]) > MAX_BODY_BYTES:
            raise _BodyTooLarge
        await handler(scope, bounded_receive, send)
    except _BodyTooLarge:
        refusal = problem(BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes."))
        refusal.headers["X-Request-Id"] = sane_or_new(headers.get(b"x-request-id", b"").decode("latin-1"))
        with suppress(MiddlewareNotUsed):
            Cors(handler.get_response_async).add_response_headers(ASGIRequest(scope, BytesIO()), refusal)
        await handler.send_response(refusal, send)
