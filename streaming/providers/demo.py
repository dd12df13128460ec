"""The embedded provider: no key, no network, every behaviour of the system at a command.

============================  ==========================================================================
message                       answer
============================  ==========================================================================
``/count N [per_second]``     N deltas ``"1 "``, ``"2 "``, …; per_second 0: as fast as possible
``/echo TEXT``                TEXT, word by word, exactly, as it stands after one separating character
``/markdown``                 a page with every Markdown construct
``/sleep SECONDS``            nothing for so long, then one delta
``/fail [after N chunks]``    a ProviderError after N deltas
anything else                 a page about this system, chosen by the message
============================  ==========================================================================

The same message always gives the same deltas, a continuation those that are left. What is paced is paced by the
clock: a delta that is late does not delay the next. Usage is exact by ``count_tokens``, delta by delta.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from streaming.conf import settings
from streaming.errors import ProviderError
from streaming.events import FinishReason
from streaming.pricing import Prices, Usage, count_tokens
from streaming.providers import demo_pages
from streaming.providers.base import Delta, Finish, Model, Piece, Prompt, Provider

PRICES = Prices.per_million(Decimal("0.15"), Decimal("0.60"), source="demo")
"""Priced like a small model, so that there is something to count. Nobody is charged."""

MAX_BATCH = 100
"""Deltas in one batch, at most."""

_COMMAND = re.compile(r"\s*/(\w+)(?:\s(.*))?\Z", re.DOTALL)
_COUNT = re.compile(r"\s*(\d{1,7})(?:\s+(\d{1,7}(?:\.\d{1,6})?))?\s*", re.ASCII)
_SLEEP = re.compile(r"\s*(\d{1,5}(?:\.\d{1,6})?)\s*", re.ASCII)
_FAIL = re.compile(r"\s*(?:after\s+(\d{1,7})(?:\s+chunks?)?)?\s*", re.ASCII | re.IGNORECASE)
_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+")
_ECHO_WORD = re.compile(r"\S+\s*|\s+")


@dataclass(frozen=True)
class Script:
    """What to say: after ``silence`` seconds ``deltas`` at ``per_second`` (0: flat out), then fail or not."""

    deltas: Iterable[str]
    per_second: float
    silence: float = 0
    fails: bool = False


class DemoProvider(Provider):
    """Model ``demo``. ``clock`` and ``sleep`` are in seconds; tests pass their own."""

    name = "demo"

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep

    def missing_setting(self) -> str | None:
        return None

    def models(self) -> Sequence[Model]:
        return [Model(id=self.name, provider=self.name, prices=PRICES)]

    def resolve(self, model: str) -> Model | None:
        return self.models()[0] if model == self.name else None

    def most_output_tokens(self, prompt: Prompt) -> int:
        """What the answer has, since that is known."""
        script = read_script(prompt.turns[-1].content, settings.DEMO_TOKENS_PER_SECOND)
        return script.deltas.tokens if isinstance(script.deltas, _Numbers) else sum(map(count_tokens, script.deltas))

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Piece], None]:
        script = read_script(prompt.turns[-1].content, settings.DEMO_TOKENS_PER_SECOND)
        limit = _Limit(_rest(script.deltas, prompt.so_far), prompt.max_tokens)
        if script.silence:
            await self._sleep(script.silence)
        async for deltas in self._paced(iter(limit), script.per_second):
            yield deltas
        if script.fails and not limit.was_reached:
            raise ProviderError("The demo provider failed, as it was asked to.", retryable=True)
        yield [
            Usage(prompt_tokens(prompt), limit.tokens),
            Finish(FinishReason.LENGTH if limit.was_reached else FinishReason.STOP),
        ]

    async def _paced(self, deltas: Iterator[str], per_second: float) -> AsyncGenerator[list[Delta], None]:
        started = self._clock()
        sent = 0
        while (content := next(deltas, None)) is not None:
            due = MAX_BATCH
            if per_second > 0:
                if (early := started + sent / per_second - self._clock()) > 0:
                    await self._sleep(early)
                due = min(max(1, int((self._clock() - started) * per_second) + 1 - sent), MAX_BATCH)
            batch = [Delta(content), *map(Delta, islice(deltas, due - 1))]
            yield batch
            sent += len(batch)
            await self._sleep(0)


class _Limit:
    """``deltas`` up to ``max_tokens``, counted."""

    def __init__(self, deltas: Iterable[str], max_tokens: int | None) -> None:
        self._deltas = deltas
        self._max_tokens = max_tokens
        self.tokens = 0
        self.was_reached = False

    def __iter__(self) -> Iterator[str]:
        for content in self._deltas:
            tokens = count_tokens(content)
            if self._max_tokens is not None and self.tokens + tokens > self._max_tokens:
                self.was_reached = True
                return
            self.tokens += tokens
            yield content


def prompt_tokens(prompt: Prompt) -> int:
    """The tokens of all that is sent, by ``count_tokens``."""
    return sum(map(count_tokens, prompt.texts))


def _rest(deltas: Iterable[str], so_far: str) -> Iterator[str]:
    """``deltas`` from where ``so_far`` ends; where it says something else, from there."""
    at = 0
    for content in deltas:
        if at < len(so_far) and so_far.startswith(content, at):
            at += len(content)
            continue
        rest = so_far[at : at + len(content)]
        yield content.removeprefix(rest)
        at = len(so_far)


def read_script(message: str, per_second: float) -> Script:
    """What ``message`` asks for. ``per_second`` is the speed of what names none."""
    command = _COMMAND.match(message)
    if command is None:
        return Script(_words(demo_pages.page_for(message)), per_second)
    name, rest = command.group(1).lower(), command.group(2) or ""
    read = _COMMANDS.get(name)
    script = read(rest, per_second) if read is not None else None
    return script or Script(_words(demo_pages.HELP), per_second)


def _count(rest: str, per_second: float) -> Script | None:
    if (match := _COUNT.fullmatch(rest)) is None:
        return None
    speed = per_second if match.group(2) is None else float(match.group(2))
    return Script(_Numbers(int(match.group(1))), speed)


def _echo(rest: str, per_second: float) -> Script | None:
    return Script(_ECHO_WORD.findall(rest), per_second) if rest else None


def _markdown(rest: str, per_second: float) -> Script | None:
    return Script(_words(demo_pages.MARKDOWN), per_second)


def _sleep(rest: str, per_second: float) -> Script | None:
    if (match := _SLEEP.fullmatch(rest)) is None:
        return None
    return Script(
        [f"Here is one chunk, after {match.group(1)} s of silence."], per_second, silence=float(match.group(1))
    )


def _fail(rest: str, per_second: float) -> Script | None:
    if (match := _FAIL.fullmatch(rest)) is None:
        return None
    return Script(_Numbers(int(match.group(1) or 0)), per_second, fails=True)


_COMMANDS: dict[str, Callable[[str, float], Script | None]] = {
    "count": _count,
    "echo": _echo,
    "markdown": _markdown,
    "sleep": _sleep,
    "fail": _fail,
}


@dataclass(frozen=True)
class _Numbers:
    """``"1 "``, ``"2 "``, … up to ``count``, which has at most seven digits."""

    count: int

    def __iter__(self) -> Iterator[str]:
        return (f"{number} " for number in range(1, self.count + 1))

    @property
    def tokens(self) -> int:
        """By ``count_tokens``: two from the fifth digit on."""
        return self.count + max(0, self.count - 9999)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)
