"""The OpenAI provider over real sockets, against a server with every misbehaviour."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from streaming.errors import ErrorType, ProviderError
from streaming.pricing import MOST_TOKENS, Usage
from streaming.providers import http
from streaming.providers.base import INSTRUCTION, Delta, Finish, Piece, Prompt, Turn
from streaming.providers.completions import read_usage, request_body
from streaming.providers.http import Patience
from streaming.providers.openai import SUGGESTED_MODELS, OpenAIProvider
from streaming.providers.wire import Characters
from tests.upstream import Script, Upstream

KEY = "sk-very-secret"
PROMPT = Prompt("openai/gpt-4o-mini", (Turn("user", "a private prompt"),))
USAGE = Usage(7, 5)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def patience(self) -> Patience:
        return Patience(
            clock=lambda: self.now, wall=lambda: 1_700_000_000 + self.now, sleep=self.sleep, jitter=lambda: 0
        )


@pytest.fixture
def upstream(settings: Settings) -> Iterator[Upstream]:
    settings.OPENAI_API_KEY = KEY
    with Upstream() as server:
        settings.OPENAI_BASE_URL = server.url
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


async def collect(provider: OpenAIProvider, prompt: Prompt, into: list[Piece]) -> None:
    try:
        async for batch in provider.stream(prompt):
            into.extend(batch)
    finally:
        await provider.aclose()


def ask(prompt: Prompt = PROMPT, time: Time | None = None) -> list[Piece]:
    seen: list[Piece] = []
    asyncio.run(collect(OpenAIProvider((time or Time()).patience()), prompt, seen))
    return seen


def ask_in_vain(time: Time | None = None) -> tuple[list[Piece], ProviderError]:
    seen: list[Piece] = []
    with pytest.raises(ProviderError) as caught:
        asyncio.run(collect(OpenAIProvider((time or Time()).patience()), PROMPT, seen))
    error = caught.value
    for secret in (KEY, "sk-secret", "private", "127.0.0.1"):
        assert secret not in error.message + str(error)
    return seen, error


def text_of(pieces: Sequence[Piece]) -> str:
    return "".join(piece.content for piece in pieces if isinstance(piece, Delta))


def kind(error: ProviderError) -> tuple[str, bool]:
    return error.error_type.value, error.retryable


# What an answer is


def test_an_answer_is_its_deltas_usage_and_finish(upstream: Upstream) -> None:
    upstream.queue(Script(pieces=("Hel", "lo ", "wörld")))
    assert ask() == [Delta("Hel"), Delta("lo "), Delta("wörld"), USAGE, Finish("stop")]


def test_the_request_is_what_the_api_asks_for(upstream: Upstream) -> None:
    ask(Prompt("openai/x/y", (Turn("user", "1"), Turn("assistant", "2"), Turn("user", "3")), "Be brief.", 0.5, 9))
    [call] = upstream.calls
    assert call.authorization == f"Bearer {KEY}" and call.path == "/v1/chat/completions"
    assert call.body == {
        "model": "x/y",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1"},
            {"role": "assistant", "content": "2"},
            {"role": "user", "content": "3"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "max_tokens": 9,
    }


def test_the_text_so_far_is_sent_with_an_instruction_to_go_on(upstream: Upstream) -> None:
    upstream.queue(Script(pieces=(" thr", "ee")))
    begun = Prompt("openai/x", (Turn("user", "Count."),), "Be brief.", so_far="one two ")
    assert text_of(ask(begun)) == "three"
    assert upstream.calls[0].body == {
        "model": "x",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Count."},
            {"role": "assistant", "content": "one two"},
            {"role": "user", "content": INSTRUCTION},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_the_prompt_leaves_open_is_left_out() -> None:
    assert request_body(PROMPT, "x", "http://x/v1").keys() == {"model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
        ("https://api.openai.com.example.org/v1", "max_tokens"),
    ],
)
def test_the_limit_has_the_name_that_the_server_knows(base_url: str, name: str) -> None:
    assert request_body(Prompt("x", (), max_tokens=3), "x", base_url)[name] == 3


def test_ten_thousand_deltas_flat_out(upstream: Upstream) -> None:
    upstream.queue(Script(count=10_000))
    pieces = ask()
    assert pieces[:-2] == [Delta(f"{number} ") for number in range(1, 10_001)]


def test_lone_surrogates_become_replacement_characters(upstream: Upstream) -> None:
    upstream.queue(Script(pieces=("a\ud83d", "b", "\ude00", "\ud83dx", "c\ud83d")))
    assert text_of(ask()) == "a\ufffdb\ufffd\ufffdxc\ufffd"


@given(st.lists(st.text(st.sampled_from("a\ud83d\ude00ö\x00"), min_size=1), min_size=1))
def test_no_surrogate_gets_out(contents: list[str]) -> None:
    characters = Characters()
    text = "".join(map(characters.add, contents)) + characters.end()
    assert text == "".join(contents).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_reasoning_is_not_streamed(upstream: Upstream) -> None:
    upstream.queue(Script(text="42", extra={"reasoning_content": "hm", "reasoning": "hm", "role": "assistant"}))
    assert text_of(ask()) == "42"


def test_a_delta_without_content_is_nothing(upstream: Upstream) -> None:
    upstream.queue(Script(text="42", extra={"content": None}), Script(text="42", extra={"content": ""}))
    assert text_of(ask()) == text_of(ask()) == ""


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
        ("cancelled", "stop"),
        ("eos", "stop"),
    ],
)
def test_finish_reasons(upstream: Upstream, told: str, meant: str) -> None:
    upstream.queue(Script(finish_reason=told))
    assert ask()[-1] == Finish(meant)


def test_nothing_is_read_after_done(upstream: Upstream) -> None:
    upstream.queue(Script(text="Hi", hang=True, after_done='data: {"choices":[{"delta":{"content":"more"}}]}\n\n'))
    assert ask() == [Delta("Hi"), USAGE, Finish("stop")]
    assert upstream.wait_for_end().ended == "client_left"


def test_an_end_without_done_is_good_after_a_finish_reason(upstream: Upstream) -> None:
    upstream.queue(Script(text="Hi", done=False), Script(text="Hi", done=False, chunked=False))
    assert ask() == ask() == [Delta("Hi"), USAGE, Finish("stop")]


# Usage


@pytest.mark.parametrize("place", ["own", "last", "every"])
def test_usage_may_be_in_any_chunk(upstream: Upstream, place: str) -> None:
    upstream.queue(Script(text="a b c", usage_in=place))
    assert ask()[-2:] == [USAGE, Finish("stop")]


def test_no_usage_is_no_usage(upstream: Upstream) -> None:
    upstream.queue(Script(text="Hi", usage=None))
    assert ask() == [Delta("Hi"), Finish("stop")]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 5}, USAGE),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 20},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(100, 50, 60, 20, 30),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 20},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(10, 5, 10, 0, 5),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": -1, "cache_write_tokens": 1.5},
                "completion_tokens_details": None,
            },
            Usage(10, 5),
        ),
        ({"prompt_tokens": 7, "completion_tokens": 5, "prompt_tokens_details": [1], "total_tokens": 99}, USAGE),
        ({"prompt_tokens": -7, "completion_tokens": 5}, None),
        ({"prompt_tokens": 7, "completion_tokens": -5}, None),
        ({"prompt_tokens": 7.5, "completion_tokens": 5}, None),
        ({"prompt_tokens": "7", "completion_tokens": "5"}, None),
        ({"prompt_tokens": True, "completion_tokens": 5}, None),
        ({"prompt_tokens": MOST_TOKENS + 1, "completion_tokens": 5}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": 7, "completion_tokens": 0}, None),
        ({"prompt_tokens": 7}, None),
        ({}, None),
        ([], None),
        ("usage", None),
        (7, None),
    ],
)
def test_contradicting_usage_is_clamped_or_ignored(upstream: Upstream, raw: Any, expected: Usage | None) -> None:
    assert read_usage(raw, has_text=True) == expected
    upstream.queue(Script(text="Hi", usage=raw))
    pieces = ask()
    assert [piece for piece in pieces if isinstance(piece, Usage)] == ([] if expected is None else [expected])
    assert pieces[-1] == Finish("stop")


# Failures


@pytest.mark.parametrize(
    "script",
    [
        Script(pieces=("a", "b"), finish_reason="error"),
        Script(pieces=("a", "b", "c"), garbage_after=2, garbage='["choices"]'),
        Script(pieces=("a", "b", "c"), garbage_after=2, garbage='{"choices":{"0":1}}'),
        Script(pieces=("a", "b", "c"), garbage_after=2, garbage='{"choices":[{"delta":{"content":[1]}}]}'),
        Script(pieces=("a", "b", "c"), garbage_after=2, garbage='{"choices":[{"delta":{"content":"\\ud83d"},"x":}]}'),
        Script(pieces=("a", "b", "c"), garbage_after=2, garbage='{"something":"else"}'),
        Script(pieces=("a", "b", "c"), garbage_after=2, garbage='{"usage":' + "[" * 100_000),
        Script(pieces=("a", "b", "c"), error_after=2, error={"code": 429, "message": "sk-secret"}),
        Script(pieces=("a", "b", "c"), error_after=2, error="overloaded sk-secret"),
    ],
)
def test_an_answer_that_breaks_keeps_what_was_said_and_is_not_asked_again(upstream: Upstream, script: Script) -> None:
    upstream.script = script
    seen, error = ask_in_vain()
    assert (text_of(seen), kind(error), len(upstream.calls)) == ("ab", ("provider_error", True), 1)
    assert all(isinstance(piece, Delta) for piece in seen)


def test_an_invalid_request_may_be_told_inside_the_stream(upstream: Upstream) -> None:
    upstream.script = Script(error_after=0, error={"type": "invalid_request_error", "message": "private"})
    assert kind(ask_in_vain()[1]) == ("invalid_request", False)


def test_a_stall_that_ends_in_time_is_no_failure(upstream: Upstream) -> None:
    upstream.script = Script(pieces=("a", "b"), stall_after=1)
    upstream.release()
    assert text_of(ask()) == "ab"


def test_no_time_to_connect(settings: Settings) -> None:
    settings.OPENAI_API_KEY = KEY
    settings.STREAM_PROVIDER_CONNECT_SECONDS = 0.2
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        try:
            assert kind(ask_in_vain()[1]) == ("provider_timeout", True)
        finally:
            for each in waiting:
                each.close()


@pytest.mark.parametrize("base_url", ["", "not a url", "http://", "ftp://x/v1", "http://[::1", "http://x:99999/v1"])
def test_an_address_that_is_none_is_a_provider_error(settings: Settings, base_url: str) -> None:
    settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = KEY, base_url
    assert ask_in_vain()[1].error_type == ErrorType.PROVIDER_ERROR


def test_neither_proxy_nor_netrc_of_the_environment_is_used(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    assert ask()[-1] == Finish("stop")


# Asking again


@pytest.mark.parametrize("retry_after", ["7", "Tue, 14 Nov 2023 22:13:27 GMT"])
def test_retry_after_is_honoured(upstream: Upstream, time: Time, retry_after: str) -> None:
    upstream.queue(Script(status=429, retry_after=retry_after))
    assert ask(time=time)[-1] == Finish("stop")
    assert time.pauses == [7]


@pytest.mark.parametrize("retry_after", ["31", "99999999999999999999999", "Tue, 14 Nov 2033 22:13:27 GMT"])
def test_a_longer_wait_is_not_begun(upstream: Upstream, time: Time, retry_after: str) -> None:
    upstream.script = Script(status=429, retry_after=retry_after)
    ask_in_vain(time)
    assert len(upstream.calls) == 1 and time.pauses == []


@pytest.mark.parametrize("retry_after", ["soon", "-1", "0", "1.5", "Tue, 14 Nov 2003 22:13:27 GMT", "²"])
def test_an_odd_retry_after_does_no_harm(upstream: Upstream, time: Time, retry_after: str) -> None:
    upstream.queue(Script(status=429, retry_after=retry_after))
    assert ask(time=time)[-1] == Finish("stop")
    assert time.pauses == [0.5]


def test_waits_are_thirty_seconds_in_total(upstream: Upstream, time: Time) -> None:
    upstream.script = Script(status=429, retry_after="20")
    ask_in_vain(time)
    assert len(upstream.calls) == 2 and time.pauses == [20]


def test_a_refused_connection_is_asked_again(settings: Settings, time: Time) -> None:
    settings.OPENAI_API_KEY = KEY
    with socket.create_server(("127.0.0.1", 0)) as closed:
        settings.OPENAI_BASE_URL = f"http://localhost:{closed.getsockname()[1]}/v1"
    assert kind(ask_in_vain(time)[1]) == ("provider_error", True)
    assert len(time.pauses) == 2


# Leaving


def test_leaving_before_the_first_byte(upstream: Upstream) -> None:
    upstream.script = Script(stall_after=-1)

    async def leave() -> None:
        provider = OpenAIProvider()
        first = asyncio.ensure_future(anext(provider.stream(PROMPT)))
        await asyncio.to_thread(upstream.wait_for, lambda calls: len(calls) == 1)
        first.cancel()
        await asyncio.wait([first])
        call = await asyncio.to_thread(upstream.wait_for_end)
        assert call.ended == "client_left"
        await provider.aclose()

    asyncio.run(leave())


def test_hundreds_of_answers_at_once(upstream: Upstream) -> None:
    upstream.script = Script(pieces=("a", "b"), stall_after=1)
    count = 200

    async def ask_all() -> list[str]:
        provider = OpenAIProvider()

        async def one() -> str:
            async with aclosing(provider.stream(PROMPT)) as batches:
                return text_of([piece async for batch in batches for piece in batch])

        tasks = [asyncio.ensure_future(one()) for _ in range(count)]
        await asyncio.to_thread(upstream.wait_for, lambda calls: len(calls) == count)
        upstream.release()
        texts = await asyncio.gather(*tasks)
        await provider.aclose()
        return texts

    assert asyncio.run(ask_all()) == ["ab"] * count


def test_the_client_may_be_closed_twice_and_opens_again(upstream: Upstream) -> None:
    async def twice() -> None:
        await http.aclose()
        await http.aclose()
        seen: list[Piece] = []
        await collect(OpenAIProvider(), PROMPT, seen)
        await collect(OpenAIProvider(), PROMPT, seen)
        assert seen.count(Finish("stop")) == 2

    asyncio.run(twice())


# Models


def test_models_of_openai_itself(settings: Settings) -> None:
    settings.OPENAI_BASE_URL = "https://api.openai.com/v1"
    settings.OPENAI_MODELS = "ft:gpt-4o-mini-2024-07-18:me, gpt-4o-mini,"
    settings.STREAM_DEFAULT_MODEL = "gpt-4.1-mini"
    models = OpenAIProvider().models()
    names = [model.id for model in models]
    assert names[:3] == ["gpt-4.1-mini", "ft:gpt-4o-mini-2024-07-18:me", "gpt-4o-mini"]
    assert set(SUGGESTED_MODELS) <= set(names) and len(set(names)) == len(names)
    assert all(model.provider == "openai" and model.prices is not None for model in models)


def test_the_suggested_models_are_current(settings: Settings) -> None:
    settings.OPENAI_MODELS = settings.STREAM_DEFAULT_MODEL = ""
    assert tuple(model.id for model in OpenAIProvider().models()) == SUGGESTED_MODELS


def test_models_of_another_server(settings: Settings) -> None:
    settings.OPENAI_BASE_URL = "http://localhost:11434/v1"
    settings.OPENAI_MODELS = "llama3.2,openai/gpt-oss-20b"
    settings.STREAM_DEFAULT_MODEL = ""
    models = OpenAIProvider().models()
    assert [(model.id, model.prices) for model in models] == [("llama3.2", None), ("openai/openai/gpt-oss-20b", None)]


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("gpt-4o-mini", True),
        ("gpt-99", True),
        ("openai/anything:at-all", True),
        ("o3", True),
        ("mine", True),
        ("my-default", True),
        ("openai/", False),
        ("", False),
        ("demo", False),
        ("claude-sonnet-4", False),
        ("whisper-1", False),
        ("llama3.2", False),
    ],
)
def test_which_names_are_ours(settings: Settings, name: str, is_ours: bool) -> None:
    settings.OPENAI_API_KEY = ""
    settings.OPENAI_MODELS = "mine, other"
    settings.STREAM_DEFAULT_MODEL = "my-default"
    assert (OpenAIProvider().resolve(name) is not None) == is_ours


@pytest.mark.parametrize("default", ["demo", "claude-sonnet-4", "anthropic/claude-sonnet-4", ""])
def test_a_default_of_another_provider_is_not_taken(settings: Settings, default: str) -> None:
    settings.STREAM_DEFAULT_MODEL = default
    settings.OPENAI_MODELS = ""
    assert OpenAIProvider().resolve(default) is None
    assert OpenAIProvider().models()[0].id == SUGGESTED_MODELS[0]


def test_a_prefixed_name_is_priced_as_its_model() -> None:
    plain, prefixed = OpenAIProvider().resolve("gpt-4o-mini"), OpenAIProvider().resolve("openai/gpt-4o-mini")
    assert plain is not None and prefixed is not None
    assert (
        prefixed.id == "openai/gpt-4o-mini" and prefixed.prices == plain.prices and prefixed.context_window == 128_000
    )
    unknown = OpenAIProvider().resolve("openai/nobody-knows")
    assert unknown is not None and unknown.prices is None


def test_the_missing_setting(settings: Settings) -> None:
    settings.OPENAI_API_KEY = " "
    assert OpenAIProvider().missing_setting() == "OPENAI_API_KEY"
    settings.OPENAI_API_KEY = KEY
    assert OpenAIProvider().missing_setting() is None
