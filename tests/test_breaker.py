"""The circuit breaker: by itself with a clock of its own, then around calls to a server that fails."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial

import httpcore
import pytest
from pytest_django import Settings

from streaming.errors import ProviderError
from streaming.providers import http
from streaming.providers.base import Prompt, Turn
from streaming.providers.breaker import FAILURES, WINDOW_SECONDS, Breaker, Call
from streaming.providers.connections import SharedLookUps
from streaming.providers.openai import OpenAIProvider
from tests.test_openai import Time
from tests.upstream import Call as UpstreamCall
from tests.upstream import Script, Upstream

PROMPT = Prompt("openai/x", (Turn("user", "hi"),))


def admitted(breaker: Breaker, now: float) -> Call:
    call = breaker.admit(now)
    assert call is not None
    return call


def fail(breaker: Breaker, times: int, now: float = 0) -> None:
    for _ in range(times):
        breaker.end(admitted(breaker, now), False, now)


def opened(now: float = 0) -> Breaker:
    breaker = Breaker()
    fail(breaker, FAILURES, now)
    assert breaker.is_open
    return breaker


def test_it_opens_at_the_fifth_failure_in_a_row() -> None:
    breaker = Breaker()
    fail(breaker, FAILURES - 1)
    assert not breaker.is_open
    fail(breaker, 1)
    assert breaker.is_open and breaker.admit(9.9) is None


@pytest.mark.parametrize(("is_up", "opens"), [(True, False), (None, True)])
def test_a_call_that_is_answered_begins_the_count_anew(is_up: bool | None, opens: bool) -> None:
    breaker = Breaker()
    fail(breaker, FAILURES - 1)
    breaker.end(admitted(breaker, 0), is_up, 0)
    fail(breaker, 1)
    assert breaker.is_open == opens


def test_failures_far_apart_do_not_open_it() -> None:
    breaker = Breaker()
    for number in range(FAILURES * 4):
        fail(breaker, 1, number * (WINDOW_SECONDS / (FAILURES - 1) + 0.1))
    assert not breaker.is_open


def test_after_the_pause_one_call_is_let_in_and_closes_it() -> None:
    breaker = opened()
    trial = admitted(breaker, 10)
    assert breaker.admit(10) is None
    assert breaker.end(trial, True, 11) and not breaker.is_open
    fail(breaker, FAILURES - 1, 11)
    assert not breaker.is_open


def test_pauses_double_up_to_a_minute() -> None:
    breaker = opened()
    now, pauses = 10.0, []
    for _ in range(5):
        breaker.end(admitted(breaker, now), False, now)
        pauses.append(breaker.pause)
        assert breaker.admit(now + breaker.pause - 0.1) is None
        now += breaker.pause
    assert pauses == [20, 40, 60, 60, 60]


def test_a_trial_that_was_left_makes_room_for_the_next() -> None:
    breaker = opened()
    assert not breaker.end(admitted(breaker, 10), None, 12)
    assert admitted(breaker, 12) and breaker.admit(12) is None and breaker.pause == 10


def test_a_slow_trial_does_not_keep_the_next_waiting() -> None:
    breaker = opened()
    slow = admitted(breaker, 10)
    assert breaker.admit(19.9) is None
    next_one = admitted(breaker, 20)
    breaker.end(slow, False, 21)
    assert breaker.pause == 10
    breaker.end(next_one, True, 22)
    assert not breaker.is_open


def test_calls_from_before_neither_open_it_further_nor_count_for_the_trial() -> None:
    breaker = Breaker()
    before = [admitted(breaker, 0) for _ in range(FAILURES * 3)]
    for call in before[:-1]:
        breaker.end(call, False, 1)
    assert breaker.is_open and breaker.pause == 10
    assert admitted(breaker, 11)
    assert breaker.end(before[-1], True, 12) and not breaker.is_open


# Around calls


@asynccontextmanager
async def asking(time: Time) -> AsyncIterator[Callable[[], asyncio.Task[str]]]:
    """Starts calls, each of which gives its error's detail, or ``answered``."""
    provider = OpenAIProvider(time.patience())

    async def one() -> str:
        try:
            async with aclosing(provider.stream(PROMPT)) as batches:
                async for _ in batches:
                    pass
        except ProviderError as error:
            assert error.retryable or "upstream answered 4" in str(error)
            return str(error)
        return "answered"

    yield lambda: asyncio.ensure_future(one())
    await provider.aclose()


def has_calls(number: int, calls: list[UpstreamCall]) -> bool:
    return len(calls) == number


NOT_ASKED = "not asked: the provider is down"


@pytest.mark.parametrize("status", [502, 504, 529])
def test_a_provider_that_fails_is_left_alone(settings: Settings, caplog: pytest.LogCaptureFixture, status: int) -> None:
    time = Time()

    async def run(upstream: Upstream) -> None:
        async with asking(time) as ask:
            upstream.script = Script(status=status)
            told = [await ask() for _ in range(FAILURES + 3)]
            assert told == [f"upstream answered {status}"] * FAILURES + [NOT_ASKED] * 3
            calls = len(upstream.calls)
            upstream.script = Script()
            time.now += 10
            assert [await ask(), await ask()] == ["answered", "answered"]
            assert len(upstream.calls) == calls + 2

    settings.OPENAI_API_KEY = "sk-very-secret"
    with Upstream() as upstream, caplog.at_level(logging.INFO, "streaming.providers"):
        settings.OPENAI_BASE_URL = upstream.url
        asyncio.run(run(upstream))
    assert [record.getMessage() for record in caplog.records] == ["provider is down", "provider is up again"]
    assert "sk-very-secret" not in caplog.text


def test_a_provider_that_cannot_be_reached_is_left_alone(settings: Settings) -> None:
    async def run() -> None:
        async with asking(Time()) as ask:
            told = Counter([await ask() for _ in range(FAILURES + 2)])
            assert told == {"ConnectError": FAILURES, NOT_ASKED: 2}

    settings.OPENAI_API_KEY = "sk"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    asyncio.run(run())


def test_a_provider_that_says_nothing_is_left_alone(settings: Settings) -> None:
    async def run(upstream: Upstream) -> None:
        async with asking(Time()) as ask:
            assert await asyncio.gather(*[ask() for _ in range(FAILURES)]) == ["ReadTimeout"] * FAILURES
            assert await ask() == NOT_ASKED

    settings.OPENAI_API_KEY, settings.STREAM_PROVIDER_TIMEOUT_SECONDS = "sk", 0.2
    with Upstream(script=Script(stall_after=-1)) as upstream:
        settings.OPENAI_BASE_URL = upstream.url
        asyncio.run(run(upstream))


@pytest.mark.parametrize(
    "script",
    [
        Script(status=400),
        Script(status=401),
        Script(status=404),
        Script(status=408),
        Script(status=413),
        Script(status=422),
        Script(status=429),
        Script(status=307, location="http://127.0.0.1:1/"),
        Script(html=True),
        Script(cut_after=1),
        Script(error_after=0),
    ],
)
def test_a_bad_request_or_a_broken_answer_leaves_it_closed(settings: Settings, script: Script) -> None:
    provider = OpenAIProvider(Time().patience())

    async def run(upstream: Upstream) -> None:
        for _ in range(FAILURES * 2):
            with pytest.raises(ProviderError) as caught:
                async for _ in provider.stream(PROMPT):
                    pass
            assert NOT_ASKED not in str(caught.value)
        upstream.script = Script()
        async for _ in provider.stream(PROMPT):
            pass
        await provider.aclose()

    settings.OPENAI_API_KEY = "sk"
    with Upstream(script=script) as upstream:
        settings.OPENAI_BASE_URL = upstream.url
        asyncio.run(run(upstream))


def test_a_call_that_is_left_tells_nothing(settings: Settings) -> None:
    async def run(upstream: Upstream) -> None:
        async with asking(Time()) as ask:
            for number in range(1, FAILURES * 2 + 1):
                call = ask()
                await asyncio.to_thread(upstream.wait_for, partial(has_calls, number))
                call.cancel()
                await asyncio.wait([call])
            upstream.script = Script()
            assert await ask() == "answered"

    settings.OPENAI_API_KEY = "sk"
    with Upstream(script=Script(stall_after=-1)) as upstream:
        settings.OPENAI_BASE_URL = upstream.url
        asyncio.run(run(upstream))


def test_one_provider_down_is_not_another_one_down(settings: Settings) -> None:
    async def run(good: Upstream, bad: Upstream) -> None:
        async with asking(Time()) as ask:
            settings.OPENAI_BASE_URL = bad.url
            told = [await ask() for _ in range(FAILURES + 1)]
            assert told[-1] == NOT_ASKED
            settings.OPENAI_BASE_URL = good.url
            assert await ask() == "answered"

    settings.OPENAI_API_KEY = "sk"
    with Upstream() as good, Upstream(script=Script(status=502)) as bad:
        asyncio.run(run(good, bad))


# Connections


class LookUps:
    """Stands in for the machine's name service."""

    def __init__(self, *addresses: str, seconds: float = 0) -> None:
        self.addresses = addresses
        self.seconds = seconds
        self.count = 0

    async def __call__(self, host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        self.count += 1
        await asyncio.sleep(self.seconds)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such host")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


async def connect(backend: SharedLookUps, port: int, seconds: float = 5) -> str:
    """The address that a connection to ``example.test`` was made with."""
    stream = await backend.connect_tcp("example.test", port, timeout=seconds)
    address = str(stream.get_extra_info("server_addr")[0])
    await stream.aclose()
    return address


def with_lookups(lookups: LookUps, run: Callable[[SharedLookUps, int, Time], object]) -> None:
    async def main() -> None:
        asyncio.get_running_loop().getaddrinfo = lookups  # type: ignore[method-assign, assignment]
        time = Time()
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await run(SharedLookUps(lambda: time.now), port, time)  # type: ignore[misc]

    asyncio.run(main())


def test_calls_at_the_same_time_share_a_look_up() -> None:
    lookups = LookUps("127.0.0.1", seconds=0.05)

    async def run(backend: SharedLookUps, port: int, time: Time) -> None:
        leaving = asyncio.ensure_future(connect(backend, port))
        await asyncio.sleep(0)
        leaving.cancel()
        assert set(await asyncio.gather(*[connect(backend, port) for _ in range(50)])) == {"127.0.0.1"}
        assert lookups.count == 1
        time.now += 10
        await connect(backend, port)
        assert lookups.count == 2

    with_lookups(lookups, run)


def test_the_address_that_answers_is_kept_and_a_failure_is_not() -> None:
    lookups = LookUps("127.0.0.2", "127.0.0.1")

    async def run(backend: SharedLookUps, port: int, time: Time) -> None:
        assert await connect(backend, port) == "127.0.0.1"
        assert next(iter(await backend._find("example.test", port))) == "127.0.0.1"
        lookups.addresses = ()
        time.now += 10
        for count in (2, 3):
            with pytest.raises(httpcore.ConnectError):
                await connect(backend, port)
            assert lookups.count == count
        lookups.addresses = ("127.0.0.1",)
        assert await connect(backend, port) == "127.0.0.1"

    with_lookups(lookups, run)


def test_a_look_up_has_the_time_to_connect() -> None:
    async def run(backend: SharedLookUps, port: int, time: Time) -> None:
        with pytest.raises(httpcore.ConnectTimeout):
            await connect(backend, port, seconds=0.05)

    with_lookups(LookUps("127.0.0.1", seconds=0.2), run)


@pytest.mark.parametrize(("number", "is_ours"), [(errno.EMFILE, True), (errno.ECONNREFUSED, False)])
def test_too_many_open_files_are_no_providers_fault(number: int, is_ours: bool) -> None:
    error = httpcore.ConnectError("no address answered")
    error.__context__ = ExceptionGroup("of each address", [OSError(number, "as told")])
    assert http._is_our_own(error) == is_ours


def test_a_500_may_be_one_requests_fault_and_closes_the_provider_to_nobody(settings: Settings) -> None:
    async def run(upstream: Upstream) -> None:
        async with asking(Time()) as ask:
            told = [await ask() for _ in range(FAILURES + 3)]
            assert told == ["upstream answered 500"] * (FAILURES + 3)

    settings.OPENAI_API_KEY = "sk-very-secret"
    with Upstream(script=Script(status=500)) as upstream:
        settings.OPENAI_BASE_URL = upstream.url
        asyncio.run(run(upstream))
