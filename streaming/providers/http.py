"""The one seam to httpx: POST JSON to a provider, read Server-Sent Events.

Everything that can go wrong becomes a ProviderError, whose sentences are fixed: nothing of the
upstream's answer, address or key gets into them.

============================================  ======================  =========
what happened                                 error_type              retryable
============================================  ======================  =========
no connection or no byte in time, 408         provider_timeout        yes
refused, reset, cut, 5xx                      provider_error          yes
401, 403                                      provider_auth           no
429                                           provider_rate_limited   yes
any other 4xx                                 invalid_request         no
redirect, not an event stream, too large      provider_error          no
============================================  ======================  =========

A provider that verifiably did no work (connection refused, 429, 503, 529) is asked again, as Patience
says; nothing else ever is. A redirect is not followed: it would take the key to another host.

One that is down (no connection, no answer in time, 502 and above) is left alone for a while, as ``breaker`` says:
calls then fail at once, with ``provider_error``, retryable. A call that was let in always tells its own error.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import json
import logging
import random
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from weakref import WeakKeyDictionary

import httpcore
import httpx

from streaming.conf import settings
from streaming.errors import ErrorType, ProviderError
from streaming.providers.breaker import Breaker
from streaming.providers.connections import SharedLookUps
from streaming.providers.decoder import EventDecoder, EventTooLarge, ServerSentEvent

_ASK_AGAIN = frozenset({429, 503, 529})
_FIRST_PAUSE_SECONDS = 0.5
_WRITE_SECONDS = 30

# Of our own making: too many open files or sockets, no memory for them.
_OUR_OWN_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})

logger = logging.getLogger("streaming.providers")


@dataclass(frozen=True)
class Patience:
    """How often, and within how many seconds, a provider that did no work is asked.

    ``Retry-After`` (seconds or an HTTP date) is honoured where it ends within ``seconds``; where it does
    not, the error is final at once. ``clock`` is monotonic, ``wall`` counts from the epoch, ``jitter``
    gives 0 to 1.
    """

    attempts: int = 3
    seconds: float = 30
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: int, since: float, retry_after: str | None) -> float | None:
        """Seconds until the next attempt; None where there is none. ``attempt`` counts from 1."""
        if attempt >= self.attempts:
            return None
        pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
        asked = _retry_after_seconds(retry_after, self.wall())
        pause = (pause if asked is None else max(asked, pause)) + self.jitter() * pause / 2
        return pause if self.clock() + pause - since <= self.seconds else None


DEFAULT_PATIENCE = Patience()


async def post_for_events(
    url: str,
    *,
    headers: Mapping[str, str],
    body: Mapping[str, Any],
    patience: Patience = DEFAULT_PATIENCE,
) -> AsyncGenerator[Sequence[ServerSentEvent], None]:
    """POST ``body`` as JSON and give the events that each read of the answer completes.

    Raises ProviderError. Ends where the provider ends its answer. ``aclose`` closes the connection at
    once, and so does cancelling the task that reads.
    """
    async with AsyncExitStack() as stack:
        response = await _ask(url, headers, body, patience)
        stack.push_async_callback(response.aclose)
        decoder = EventDecoder()
        try:
            async for chunk in response.aiter_raw():
                if events := decoder.feed(chunk):
                    yield events
            if events := decoder.flush():
                yield events
        except httpx.HTTPError as error:
            raise _transport_error(error) from None
        except EventTooLarge as error:
            raise _not_understood(str(error)) from None


async def aclose() -> None:
    """Close the running loop's client and its connections. Idempotent; a later call opens a new one."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.http.aclose()


@dataclass
class _Client:
    """What a loop holds: the connections, and a breaker for each address."""

    http: httpx.AsyncClient
    breakers: dict[str, Breaker] = field(default_factory=dict)


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _Client] = WeakKeyDictionary()


@dataclass
class _Attempt:
    """What asking once brought: the response, or an error."""

    is_up: bool | None = None
    """Whether the provider answers; None where that was not learnt."""
    response: httpx.Response | None = None
    error: ProviderError = field(default_factory=lambda: _not_understood("not asked"))
    ask_again: bool = False
    retry_after: str | None = None


async def _ask(url: str, headers: Mapping[str, str], body: Mapping[str, Any], patience: Patience) -> httpx.Response:
    """The response whose body is the event stream, open; where the breaker lets the call in."""
    # Addresses come from settings alone: there are few.
    breaker = _client().breakers.setdefault(url, Breaker())
    call = breaker.admit(patience.clock())
    if call is None:
        raise ProviderError(
            "The provider is not answering at the moment. Please try again later.",
            retryable=True,
            detail="not asked: the provider is down",
        )
    since = patience.clock()
    attempt = _Attempt()
    try:
        for number in range(1, patience.attempts + 1):
            attempt = await _attempt(url, headers, body)
            pause = patience.pause(number, since, attempt.retry_after) if attempt.ask_again else None
            if pause is None:
                break
            await patience.sleep(pause)
    finally:
        if breaker.end(call, attempt.is_up, patience.clock()):
            _log_change(url, breaker)
    if attempt.response is None:
        raise attempt.error
    return attempt.response


async def _attempt(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> _Attempt:
    try:
        response = await _send(url, headers, body)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as failure:
        was_refused = isinstance(failure, httpx.ConnectError) and _was_refused(failure)
        is_up = False if _tells_of_outage(failure) else None
        return _Attempt(is_up, error=_transport_error(failure), ask_again=was_refused)
    if _is_event_stream(response):
        return _Attempt(True, response)
    # The error's body is never read: it may be long, slow, or quote the prompt.
    await response.aclose()
    status = response.status_code
    retry_after = response.headers.get("retry-after")
    # 500 tells nothing of the provider: one caller's request may bring it about, and must not close it to the others.
    return _Attempt(
        None if status == 500 else status < 500,
        error=_status_error(response),
        ask_again=status in _ASK_AGAIN,
        retry_after=retry_after,
    )


async def _send(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> httpx.Response:
    timeout = httpx.Timeout(
        connect=settings.STREAM_PROVIDER_CONNECT_SECONDS,
        read=settings.STREAM_PROVIDER_TIMEOUT_SECONDS,
        write=_WRITE_SECONDS,
        pool=settings.STREAM_PROVIDER_CONNECT_SECONDS,
    )
    fixed = {"Content-Type": "application/json", "Accept": "text/event-stream", "Accept-Encoding": "identity"}
    # json, not msgspec: it escapes lone surrogates in a prompt instead of failing on them.
    content = json.dumps(body, separators=(",", ":")).encode()
    client = _client().http
    request = client.build_request("POST", url, headers={**fixed, **headers}, content=content, timeout=timeout)
    return await client.send(request, stream=True)


def _client() -> _Client:
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        http = httpx.AsyncClient(transport=_Transport(), trust_env=False, follow_redirects=False)
        http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        client = _clients[loop] = _Client(http)
    return client


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own, with SharedLookUps, for which it has no parameter.

    No connection is used twice: a kept one may be closed under a request, and whether that request did
    any work could not be told. How many are open is bounded by STREAM_MAX_STREAMS.
    """

    def __init__(self) -> None:
        super().__init__(verify=_certificates(), trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_certificates(),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=SharedLookUps(),
        )


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Reading the authorities takes tens of milliseconds."""
    return httpx.create_ssl_context(trust_env=False)


def _is_event_stream(response: httpx.Response) -> bool:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    return response.status_code == 200 and media_type == "text/event-stream" and encoding == "identity"


def _status_error(response: httpx.Response) -> ProviderError:
    status = response.status_code
    detail = f"upstream answered {status}"
    if status in (401, 403):
        return ProviderError(
            "The provider did not accept the configured API key.",
            error_type=ErrorType.PROVIDER_AUTH,
            detail=detail,
        )
    if status == 408:
        return _timed_out(detail)
    if status == 429:
        return ProviderError(
            "The provider is limiting requests at the moment. Please try again later.",
            error_type=ErrorType.PROVIDER_RATE_LIMITED,
            retryable=True,
            detail=detail,
        )
    if 400 <= status < 500:
        return ProviderError(
            "The provider did not accept this request: the model or one of the parameters may not be available.",
            error_type=ErrorType.INVALID_REQUEST,
            detail=detail,
        )
    if status >= 500:
        return ProviderError(
            "The provider is overloaded or has a failure of its own. Please try again.",
            retryable=True,
            detail=detail,
        )
    return _not_understood(f"{detail}, not an event stream")


def _transport_error(error: Exception) -> ProviderError:
    detail = type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return _timed_out(detail)
    if isinstance(error, httpx.ConnectError):
        return ProviderError("The provider could not be reached. Please try again.", retryable=True, detail=detail)
    if isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError)):
        return ProviderError(
            "The connection to the provider was lost. Please try again.", retryable=True, detail=detail
        )
    return ProviderError("The provider's address or key is not set up correctly.", detail=detail)


def _timed_out(detail: str) -> ProviderError:
    return ProviderError(
        "The provider did not answer in time. Please try again.",
        error_type=ErrorType.PROVIDER_TIMEOUT,
        retryable=True,
        detail=detail,
    )


def _not_understood(detail: str) -> ProviderError:
    return ProviderError("The provider's answer could not be understood.", detail=detail)


def _was_refused(error: BaseException) -> bool:
    """True where every address that was tried refused the connection, so that no request was sent."""
    if isinstance(error, ConnectionRefusedError):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(_was_refused(each) for each in error.exceptions)
    cause = error.__cause__ or error.__context__
    return cause is not None and _was_refused(cause)


def _tells_of_outage(error: Exception) -> bool:
    """True where the provider could not be reached, or went away without an answer, by no fault of ours."""
    is_transport = isinstance(error, (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError))
    return is_transport and not isinstance(error, httpx.PoolTimeout) and not _is_our_own(error)


def _is_our_own(error: BaseException) -> bool:
    """True where this machine had nothing left to connect with."""
    if isinstance(error, OSError) and error.errno in _OUR_OWN_ERRORS:
        return True
    if isinstance(error, BaseExceptionGroup):
        return any(_is_our_own(each) for each in error.exceptions)
    cause = error.__cause__ or error.__context__
    return cause is not None and _is_our_own(cause)


def _log_change(url: str, breaker: Breaker) -> None:
    host = httpx.URL(url).host
    if breaker.is_open:
        logger.warning("provider is down", extra={"host": host, "pause_seconds": breaker.pause})
    else:
        logger.info("provider is up again", extra={"host": host})


def _retry_after_seconds(value: str | None, now: float) -> float | None:
    """Seconds that a ``Retry-After`` asks for, from ``now`` on; None where it is absent or unreadable."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None
