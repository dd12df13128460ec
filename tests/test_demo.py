"""The demo provider: every command, deterministic, paced by the clock, counted exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from streaming.errors import ErrorType, ProviderError
from streaming.pricing import Usage, count_tokens
from streaming.providers.base import Delta, Finish, Piece, Prompt, Turn
from streaming.providers.demo import MAX_BATCH, PRICES, DemoProvider
from streaming.providers.demo_pages import HELP, MARKDOWN, page_for


class Clock:
    """A clock that only sleeping moves, and each sleep is ``late`` seconds too long."""

    def __init__(self, late: float = 0) -> None:
        self.now = 100.0
        self.late = late

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + (self.late if seconds else 0)
        await asyncio.sleep(0)


def read(prompt: Prompt) -> list[Piece]:
    """The pieces up to a failure."""
    seen: list[Piece] = []
    clock = Clock()

    async def collect() -> None:
        with suppress(ProviderError):
            async for batch in DemoProvider(clock, clock.sleep).stream(prompt):
                seen.extend(batch)

    asyncio.run(collect())
    return seen


def read_text(prompt: Prompt) -> str:
    return "".join(piece.content for piece in read(prompt) if isinstance(piece, Delta))


def batches(message: str, clock: Clock | None = None, max_tokens: int | None = None) -> list[Sequence[Piece]]:
    clock = clock or Clock()
    provider = DemoProvider(clock, clock.sleep)
    prompt = Prompt("demo", (Turn("user", message),), max_tokens=max_tokens)

    async def read() -> list[Sequence[Piece]]:
        return [batch async for batch in provider.stream(prompt)]

    return asyncio.run(read())


def pieces(message: str, max_tokens: int | None = None) -> list[Piece]:
    return [piece for batch in batches(message, max_tokens=max_tokens) for piece in batch]


def deltas(message: str, max_tokens: int | None = None) -> list[str]:
    return [piece.content for piece in pieces(message, max_tokens) if isinstance(piece, Delta)]


def test_count_is_one_delta_a_number() -> None:
    assert deltas("/count 3") == ["1 ", "2 ", "3 "]
    assert deltas("/count 0") == []
    assert pieces("/count 3")[-2:] == [Usage(2, 3), Finish("stop")]


@pytest.mark.parametrize("message", ["/count 12", "/echo one  two three", "/markdown", "/fail after 9 chunks", "Hello"])
@pytest.mark.parametrize("at", [0, 1, 5, 6, 17])
def test_a_continuation_says_what_is_left(message: str, at: int) -> None:
    whole = read_text(Prompt("demo", (Turn("user", message),)))
    assert read_text(Prompt("demo", (Turn("user", message),), so_far=whole[:at])) == whole[at:]
    assert read_text(Prompt("demo", (Turn("user", message),), so_far=whole)) == ""


def test_a_continuation_goes_on_counting_and_is_counted_with_the_text_so_far() -> None:
    prompt = Prompt(
        "demo", (Turn("user", "/count 60 10"),), max_tokens=2, so_far="".join(f"{n} " for n in range(1, 58))
    )
    seen = read(prompt)
    assert [piece.content for piece in seen if isinstance(piece, Delta)] == ["58 ", "59 "]
    assert seen[-2:] == [Usage(3 + count_tokens(prompt.so_far), 2), Finish("length")]


def test_after_words_that_are_not_its_own_it_goes_on_from_there() -> None:
    assert read_text(Prompt("demo", (Turn("user", "/count 4"),), so_far="1 2 and so on")) == "3 4 "


def test_count_flat_out_comes_in_batches_and_lets_others_run() -> None:
    provider = DemoProvider()
    others_turns = 0

    async def other() -> None:
        nonlocal others_turns
        while True:
            others_turns += 1
            await asyncio.sleep(0)

    async def read() -> list[int]:
        task = asyncio.create_task(other())
        sizes = [len(batch) async for batch in provider.stream(Prompt("demo", (Turn("user", "/count 1000 0"),)))]
        task.cancel()
        return sizes

    assert asyncio.run(read()) == [MAX_BATCH] * 10 + [2]
    assert others_turns >= 10


@pytest.mark.parametrize("late", [0, 0.013])
def test_pace_does_not_drift(late: float) -> None:
    clock = Clock(late)
    assert sum(isinstance(piece, Delta) for batch in batches("/count 201 20", clock) for piece in batch) == 201
    assert 10 <= clock.now - 100 <= 10.02


def test_the_speed_is_a_setting(settings: Settings) -> None:
    settings.DEMO_TOKENS_PER_SECOND = 5
    clock = Clock()
    batches("/count 11", clock)
    assert clock.now - 100 == pytest.approx(2)


@given(st.text(min_size=1).filter(lambda text: bool(text.strip())))
def test_echo_gives_the_text_back_exactly(text: str) -> None:
    assert "".join(deltas(f"/echo {text}")) == text


def test_echo_is_word_by_word() -> None:
    assert deltas("/echo  two  blanks\n\tand a tab ") == [" ", "two  ", "blanks\n\t", "and ", "a ", "tab "]


def test_markdown_has_every_construct() -> None:
    page = "".join(deltas("/markdown"))
    assert page == MARKDOWN
    constructs = [
        "# ",
        "**",
        "~~",
        "1. ",
        "- [x]",
        "> ",
        "```python",
        "```rust",
        "|---|",
        "](https://",
        "العربية",
        "😀",
    ]
    assert [each for each in constructs if each not in page] == []
    assert max(map(len, page.splitlines())) > 400


def test_sleep_is_silent_and_then_says_one_thing() -> None:
    clock = Clock()
    [first, last] = batches("/sleep 2.5", clock)
    assert len(first) == 1 and clock.now - 100 == 2.5
    assert last[-1] == Finish("stop")


@pytest.mark.parametrize(
    ("message", "expected"), [("/fail", 0), ("/fail after 3 chunks", 3), ("/fail after 1 chunk", 1)]
)
def test_fail_fails_after_so_many_deltas(message: str, expected: int) -> None:
    seen: list[Piece] = []

    async def read() -> None:
        async for batch in DemoProvider(sleep=Clock().sleep).stream(Prompt("demo", (Turn("user", message),))):
            seen.extend(batch)

    with pytest.raises(ProviderError) as caught:
        asyncio.run(read())
    assert caught.value.error_type == ErrorType.PROVIDER_ERROR and caught.value.message
    assert [type(piece) for piece in seen] == [Delta] * expected


@pytest.mark.parametrize(
    "message",
    [
        "/count",
        "/count x",
        "/count -1",
        "/count 3 4 5",
        "/count 99999999999",
        "/count ٣",
        "/echo",
        "/sleep",
        "/sleep soon",
        "/sleep -1",
        "/sleep nan",
        "/fail now",
        "/unknown",
        "/help",
    ],
)
def test_a_malformed_command_is_answered_with_the_commands(message: str) -> None:
    assert "".join(deltas(message)) == HELP


@pytest.mark.parametrize("message", ["Hello", "/usr/bin/env is a path", "what does it cost?", "??", "\ud800"])
def test_any_message_has_its_own_answer(message: str) -> None:
    assert "".join(deltas(message)) == page_for(message)
    assert deltas(message) == deltas(message)
    assert 100 < sum(map(count_tokens, deltas(message))) < 400


def test_different_messages_get_different_answers() -> None:
    assert len({page_for(f"question {number}") for number in range(50)}) >= 5


def test_usage_is_exact() -> None:
    prompt = Prompt(
        "demo", (Turn("user", "Tell"), Turn("assistant", "Told you so"), Turn("user", "Hello")), system="Be"
    )

    async def read() -> list[Piece]:
        clock = Clock()
        return [piece async for batch in DemoProvider(clock, clock.sleep).stream(prompt) for piece in batch]

    *said, usage, _ = asyncio.run(read())
    counted = sum(count_tokens(piece.content) for piece in said if isinstance(piece, Delta))
    expected = sum(map(count_tokens, ("Tell", "Told you so", "Hello", "Be")))
    assert usage == Usage(expected, counted)


def test_max_tokens_ends_with_length() -> None:
    assert deltas("/count 100", max_tokens=7) == [f"{number} " for number in range(1, 8)]
    assert pieces("/count 100", max_tokens=7)[-2:] == [Usage(2, 7), Finish("length")]
    assert pieces("/count 7", max_tokens=7)[-1] == Finish("stop")


def test_the_model() -> None:
    provider = DemoProvider()
    [model] = provider.models()
    assert (model.id, model.prices, provider.missing_setting()) == ("demo", PRICES, None)
    assert (PRICES.input, PRICES.output) == (150_000, 600_000)
    assert provider.resolve("demo") == model and provider.resolve("demo2") is None


@pytest.mark.parametrize("message", ["/count 10100", "/count 0", "/echo a bb ccc", "/markdown", "/sleep 1", "hello"])
def test_the_most_that_an_answer_can_have_is_what_it_has(message: str) -> None:
    most = DemoProvider().most_output_tokens(Prompt("demo", (Turn("user", message),)))
    assert most == sum(map(count_tokens, deltas(message)))
