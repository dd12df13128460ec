"""Connections to providers: calls at the same time share one look-up of a name.

The event loop looks names up in a few threads. A burst of calls, each with a look-up of its own, would wait
there for longer than its time to connect.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import httpcore

KEPT_SECONDS = 10.0
"""How long a look-up's answer is used."""


@dataclass(eq=False)
class _LookUp:
    answer: asyncio.Task[list[str]]
    until: float

    def __post_init__(self) -> None:
        # Else a failure that nobody waits for any more would be logged as forgotten.
        self.answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    def is_good(self, now: float) -> bool:
        """Whether it may be used: it is on its way, or was answered not long ago. A failure is not kept."""
        if not self.answer.done():
            return True
        return now < self.until and not self.answer.cancelled() and self.answer.exception() is None


class SharedLookUps(httpcore.AnyIOBackend):
    """Connects to a name's addresses one after the other; the one that answered is the first of the next call.

    Belongs to one event loop. ``clock`` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._look_ups: dict[tuple[str, int], _LookUp] = {}

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection within ``timeout`` seconds. Raises httpcore's ConnectError and ConnectTimeout."""
        started = self._clock()
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._find(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("no answer to a look-up") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("no such host") from error
        failures: list[Exception] = []
        for tried, address in enumerate(tuple(addresses)):
            share = len(addresses) - tried
            left = None if timeout is None else max(0.0, started + timeout - self._clock()) / share
            try:
                stream = await super().connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                failures.append(failure)
            else:
                addresses.sort(key=lambda other: other != address)
                return stream
        self._look_ups.pop((host, port), None)
        raise _one_of(failures)

    async def _find(self, host: str, port: int) -> list[str]:
        """The addresses of ``host``, the best first; the list is shared."""
        found = self._look_ups.get((host, port))
        if found is None or not found.is_good(self._clock()):
            found = _LookUp(asyncio.create_task(_look_up(host, port)), self._clock() + KEPT_SECONDS)
            self._look_ups[host, port] = found
        # A caller that leaves takes the look-up from nobody else.
        return await asyncio.shield(found.answer)


def _one_of(failures: list[Exception]) -> Exception:
    """What is told of several failures: a time-out where there was one."""
    for failure in failures:
        if isinstance(failure, httpcore.ConnectTimeout):
            return failure
    error = httpcore.ConnectError("no address answered")
    # The context too: the pool raises it again "from None".
    error.__cause__ = error.__context__ = ExceptionGroup("of each address", failures) if failures else None
    return error


async def _look_up(host: str, port: int) -> list[str]:
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in answers))
