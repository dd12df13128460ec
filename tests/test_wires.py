"""What holds for every provider over HTTP, whichever wire it speaks; what is one's own is in a file of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from pytest_django import Settings

from streaming.errors import ErrorType, ProviderError
from streaming.providers.anthropic import AnthropicProvider
from streaming.providers.base import Finish, Piece, Prompt, Provider, Turn
from streaming.providers.http import Patience
from streaming.providers.openai import OpenAIProvider
from tests.test_openai import Time, kind, text_of
from tests.upstream import LOOKS_LIKE_FRAMES, Script, Upstream

KEY = "sk-very-secret"
ABC = ("a", "b", "c")


@dataclass(frozen=True)
class Wire:
    """A provider, pointed at an upstream; ``setting`` begins the names of its settings."""

    upstream: Upstream
    setting: str
    make: Callable[[Patience], Provider]
    model: str

    @property
    def prompt(self) -> Prompt:
        return Prompt(self.model, (Turn("user", "a private prompt"),))

    def ask(self, time: Time | None = None) -> list[Piece]:
        """The pieces of one answer."""
        seen: list[Piece] = []
        asyncio.run(self._collect(time or Time(), seen))
        return seen

    def ask_in_vain(self, time: Time | None = None) -> tuple[Sequence[Piece], ProviderError]:
        """What was said before it failed, and how; nothing of the key, the prompt or the upstream is told."""
        seen: list[Piece] = []
        with pytest.raises(ProviderError) as caught:
            asyncio.run(self._collect(time or Time(), seen))
        error = caught.value
        for secret in (KEY, "sk-secret", "private", "127.0.0.1"):
            assert secret not in error.message + str(error)
        assert not any(isinstance(piece, Finish) for piece in seen)
        return seen, error

    async def _collect(self, time: Time, into: list[Piece]) -> None:
        provider = self.make(time.patience())
        try:
            async for batch in provider.stream(self.prompt):
                into.extend(batch)
        finally:
            await provider.aclose()


@pytest.fixture(params=["OPENAI", "ANTHROPIC"])
def wire(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Wire]:
    """Each of the two."""
    made: dict[str, tuple[Callable[[Patience], Provider], str]] = {
        "OPENAI": (OpenAIProvider, "openai/gpt-4o-mini"),
        "ANTHROPIC": (AnthropicProvider, "anthropic/claude-haiku-4-5"),
    }
    with Upstream() as upstream:
        setattr(settings, f"{request.param}_API_KEY", KEY)
        setattr(settings, f"{request.param}_BASE_URL", upstream.url)
        yield Wire(upstream, request.param, *made[request.param])


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("split", [0, 1, 7])
def test_any_framing_gives_the_same_answer(wire: Wire, newline: str, split: int) -> None:
    wire.upstream.queue(Script(text="Grüße 😀 und 漢字", newline=newline, split=split))
    assert text_of(wire.ask()) == "Grüße 😀 und 漢字"


def test_text_that_looks_like_frames_is_text(wire: Wire) -> None:
    wire.upstream.queue(Script(text=LOOKS_LIKE_FRAMES))
    assert text_of(wire.ask()) == LOOKS_LIKE_FRAMES


def test_a_megabyte_in_one_delta(wire: Wire) -> None:
    text = "漢" * 333_333
    wire.upstream.queue(Script(pieces=(text,)), Script(pieces=(text,), ascii=True))
    assert text_of(wire.ask()) == text_of(wire.ask()) == text


def test_surrogates_and_nul(wire: Wire) -> None:
    wire.upstream.queue(Script(pieces=("a\ud83d", "\ude00b", "\x00c", "\ude00", "d\ud83d")))
    assert text_of(wire.ask()) == "a😀b\x00c\ufffdd\ufffd"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Script(status=401), ("provider_auth", False)),
        (Script(status=403), ("provider_auth", False)),
        (Script(status=400), ("invalid_request", False)),
        (Script(status=404), ("invalid_request", False)),
        (Script(status=413), ("invalid_request", False)),
        (Script(status=422), ("invalid_request", False)),
        (Script(status=408), ("provider_timeout", True)),
        (Script(status=500), ("provider_error", True)),
        (Script(status=502), ("provider_error", True)),
        (Script(status=307, location="http://127.0.0.1:1/v1/elsewhere"), ("provider_error", False)),
        (Script(html=True), ("provider_error", False)),
        (Script(cut_after=-1), ("provider_error", True)),
    ],
)
def test_refusals_are_told_apart_and_never_asked_again(wire: Wire, script: Script, expected: tuple[str, bool]) -> None:
    wire.upstream.script = script
    seen, error = wire.ask_in_vain()
    assert (seen, kind(error), len(wire.upstream.calls)) == ([], expected, 1)


@pytest.mark.parametrize(
    "script",
    [
        Script(pieces=ABC, cut_after=2),
        Script(pieces=ABC, cut_after=2, cut_inside="frame"),
        Script(pieces=ABC, cut_after=2, cut_inside="utf8"),
        Script(pieces=ABC, cut_after=2, cut_inside="crlf", newline="\r\n"),
        Script(pieces=ABC, cut_after=2, cut_inside="frame", chunked=False),
        Script(pieces=ABC, cut_after=2, cut_inside="utf8", chunked=False),
        Script(pieces=("a", "b"), finish_reason=None),
        Script(pieces=("a", "b"), finish_reason=None, usage=None, done=False),
        Script(pieces=ABC, garbage_after=2),
        Script(pieces=ABC, garbage_after=2, garbage="<html>"),
        Script(pieces=ABC, error_after=2),
    ],
)
def test_an_answer_that_breaks_keeps_what_was_said_and_is_not_asked_again(wire: Wire, script: Script) -> None:
    wire.upstream.script = script
    seen, error = wire.ask_in_vain()
    assert (text_of(seen), kind(error), len(wire.upstream.calls)) == ("ab", ("provider_error", True), 1)


def test_a_reset_is_a_provider_error(wire: Wire) -> None:
    wire.upstream.script = Script(pieces=ABC, reset_after=2)
    seen, error = wire.ask_in_vain()
    # A reset may overtake what was sent before it.
    assert "ab".startswith(text_of(seen)) and kind(error) == ("provider_error", True)
    assert len(wire.upstream.calls) == 1


def test_an_endless_line_is_given_up(wire: Wire) -> None:
    wire.upstream.script = Script(pieces=("a", "b"), endless_after=1)
    seen, error = wire.ask_in_vain()
    assert (text_of(seen), error.error_type) == ("a", ErrorType.PROVIDER_ERROR)
    assert wire.upstream.wait_for_end().ended == "client_left"


@pytest.mark.parametrize("place", [-1, 0, 2])
def test_silence_is_a_timeout(wire: Wire, settings: Settings, place: int) -> None:
    settings.STREAM_PROVIDER_TIMEOUT_SECONDS = 0.2
    wire.upstream.script = Script(pieces=ABC, stall_after=place)
    seen, error = wire.ask_in_vain()
    assert (text_of(seen), kind(error)) == ("abc"[: max(place, 0)], ("provider_timeout", True))
    assert wire.upstream.wait_for_end().ended == "client_left"
    assert len(wire.upstream.calls) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, ("provider_rate_limited", True)), (503, ("provider_error", True)), (529, ("provider_error", True))],
)
def test_three_attempts_are_the_end_of_it(wire: Wire, status: int, expected: tuple[str, bool]) -> None:
    time = Time()
    wire.upstream.script = Script(status=status, retry_after="2")
    assert kind(wire.ask_in_vain(time)[1]) == expected
    assert len(wire.upstream.calls) == 3 and time.pauses == [2, 2]


def test_a_provider_that_did_no_work_is_asked_again(wire: Wire) -> None:
    time = Time()
    wire.upstream.queue(Script(status=503), Script(status=529))
    assert wire.ask(time)[-1] == Finish("stop")
    assert len(wire.upstream.calls) == 3 and time.pauses == [0.5, 1.0]


@pytest.mark.parametrize("key", [f"{KEY}\nX-Injected: 1", f"{KEY}ö"])
def test_a_key_that_is_none_is_not_sent_and_not_told(wire: Wire, settings: Settings, key: str) -> None:
    setattr(settings, f"{wire.setting}_API_KEY", key)
    assert kind(wire.ask_in_vain()[1]) == ("provider_error", False)
    assert wire.upstream.calls == []


@pytest.mark.parametrize("how", ["aclose", "cancel"])
def test_leaving_closes_the_upstream_connection_at_once(wire: Wire, how: str) -> None:
    wire.upstream.script = Script(pieces=("a", "b"), stall_after=1)

    async def leave() -> None:
        provider = wire.make(Time().patience())
        batches = provider.stream(wire.prompt)
        seen: list[Piece] = []
        while not text_of(seen):
            seen.extend(await anext(batches))
        if how == "cancel":
            rest = asyncio.ensure_future(anext(batches))
            await asyncio.sleep(0)
            rest.cancel()
            await asyncio.wait([rest])
        else:
            await batches.aclose()
        call = await asyncio.to_thread(wire.upstream.wait_for_end)
        assert call.ended == "client_left"
        await provider.aclose()

    asyncio.run(leave())
