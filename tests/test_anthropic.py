"""The Anthropic provider over real sockets, against a server with every misbehaviour."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_django import Settings

from streaming.errors import ProviderError
from streaming.pricing import MOST_TOKENS, Usage
from streaming.providers import registry
from streaming.providers.anthropic import (
    SUGGESTED_MODELS,
    AnthropicProvider,
    alternating,
    default_max_tokens,
    read_usage,
    request_body,
    takes_temperature,
)
from streaming.providers.base import INSTRUCTION, Delta, EarlyUsage, Finish, Piece, Prompt, Turn
from streaming.providers.catalogue import catalogue_prices
from tests.test_openai import Time, kind, text_of
from tests.upstream import Script, Upstream

KEY = "sk-ant-very-secret"
PROMPT = Prompt("anthropic/claude-haiku-4-5", (Turn("user", "a private prompt"),))
EARLY, USAGE = EarlyUsage(7, 1), Usage(7, 5)


@pytest.fixture
def upstream(settings: Settings) -> Iterator[Upstream]:
    settings.ANTHROPIC_API_KEY = KEY
    with Upstream() as server:
        settings.ANTHROPIC_BASE_URL = server.url
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


async def collect(prompt: Prompt, time: Time, into: list[Piece]) -> None:
    provider = AnthropicProvider(time.patience())
    try:
        async for batch in provider.stream(prompt):
            into.extend(batch)
    finally:
        await provider.aclose()


def ask(prompt: Prompt = PROMPT, time: Time | None = None) -> list[Piece]:
    seen: list[Piece] = []
    asyncio.run(collect(prompt, time or Time(), seen))
    return seen


def ask_in_vain(time: Time | None = None) -> tuple[list[Piece], ProviderError]:
    seen: list[Piece] = []
    with pytest.raises(ProviderError) as caught:
        asyncio.run(collect(PROMPT, time or Time(), seen))
    error = caught.value
    for secret in (KEY, "sk-secret", "private", "127.0.0.1"):
        assert secret not in error.message + str(error)
    return seen, error


def sent(upstream: Upstream) -> dict[str, Any]:
    return upstream.calls[-1].body


# What is sent


def test_the_request_is_what_the_api_asks_for(upstream: Upstream) -> None:
    ask(Prompt("anthropic/x/y", (Turn("user", "1"), Turn("assistant", "2"), Turn("user", "3")), "Be brief.", 0.5, 9))
    [call] = upstream.calls
    assert call.path == "/v1/messages"
    assert (call.headers["x-api-key"], call.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in call.headers
    assert call.body == {
        "model": "x/y",
        "messages": [
            {"role": "user", "content": "1"},
            {"role": "assistant", "content": "2"},
            {"role": "user", "content": "3"},
        ],
        "system": "Be brief.",
        "max_tokens": 9,
        "temperature": 0.5,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-2.1", True),
        ("claude-instant-1.2", True),
        ("claude-3-haiku-20240307", True),
        ("claude-3-7-sonnet-latest", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1", True),
        ("claude-haiku-4-5", True),
        ("claude-haiku-4-5-20251001", True),
        ("claude-opus-4-6", False),
        ("claude-sonnet-4-6-20260205", False),
        ("claude-opus-4-7", False),
        ("claude-opus-4-10", False),
        ("claude-sonnet-5-5", False),
        ("claude-fable-5-2", False),
        ("of-another-family", False),
    ],
)
def test_the_text_so_far_is_the_beginning_of_the_answer_where_the_model_takes_one(model: str, takes: bool) -> None:
    begun = Prompt(f"anthropic/{model}", (Turn("user", "Count."),), so_far="1 2 3 \n\n ")
    asked = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "1 2 3"}]
    instructed = [] if takes else [{"role": "user", "content": INSTRUCTION}]
    assert request_body(begun)["messages"] == asked + instructed


@pytest.mark.parametrize(
    ("so_far", "pieces", "added"),
    [
        ("1 2 ", (" 3", " 4"), "3 4"),
        ("1 2", (" 3", " 4"), " 3 4"),
        ("1 2\n\n", ("\n", "\n- 3"), "- 3"),
        ("1 2\n", ("\n\n- 3",), "\n- 3"),
        ("1 2 ", ("3", " 4"), "3 4"),
        ("1 2 ", ("\n", " 3"), "\n 3"),
        (" \n", ("1", " 2"), "1 2"),
    ],
)
def test_blanks_at_the_seam_are_not_said_twice(
    upstream: Upstream, so_far: str, pieces: tuple[str, ...], added: str
) -> None:
    upstream.queue(Script(pieces=pieces))
    assert text_of(ask(replace(PROMPT, so_far=so_far))) == added
    assert len(sent(upstream)["messages"]) == (2 if so_far.strip() else 1)


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_the_base_url_may_name_its_version(upstream: Upstream, settings: Settings, end: str) -> None:
    settings.ANTHROPIC_BASE_URL = upstream.url.removesuffix("/v1") + end
    ask()
    assert upstream.calls[0].path == "/v1/messages"


def test_what_the_prompt_leaves_open_is_left_out() -> None:
    assert request_body(PROMPT).keys() == {"model", "messages", "max_tokens", "stream"}
    assert "system" not in request_body(replace(PROMPT, system=" "))


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-haiku-5-5", 32_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-3-7-sonnet-latest", 32_000),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-3-haiku-20240307", 4096),
        ("claude-2.1", 4096),
        ("of-another-family", 32_000),
    ],
)
def test_a_limit_is_always_sent(model: str, most: int) -> None:
    assert request_body(Prompt(f"anthropic/{model}", ()))["max_tokens"] == default_max_tokens(model) == most
    assert AnthropicProvider().most_output_tokens(Prompt(f"anthropic/{model}", ())) == most


@pytest.mark.parametrize(("asked", "told"), [(0.0, 0), (0.7, 0.7), (1.0, 1), (1.5, 1), (2.0, 1), (-1.0, 0)])
def test_the_temperature_is_bounded(asked: float, told: float) -> None:
    assert request_body(replace(PROMPT, temperature=asked))["temperature"] == told


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-2.1", True),
        ("claude-instant-1.2", True),
        ("claude-3-haiku-20240307", True),
        ("claude-3.5-sonnet", True),
        ("claude-3-7-sonnet-latest", True),
        ("claude-opus-4", True),
        ("claude-opus-4-0", True),
        ("claude-opus-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-sonnet-4@20250514", True),
        ("claude-sonnet-4-5-20250929", True),
        ("claude-sonnet-4.6", True),
        ("claude-haiku-4-5", True),
        ("claude-opus-4-7", False),
        ("claude-opus-4.8", False),
        ("claude-opus-4-10", False),
        ("claude-opus-5", False),
        ("claude-haiku-5-5", False),
        ("claude-fable-5-2", False),
        ("claude-sonnet-30", False),
        ("of-another-family", True),
    ],
)
def test_models_that_take_no_temperature_are_sent_none(model: str, takes: bool) -> None:
    assert takes_temperature(model) == takes
    assert ("temperature" in request_body(Prompt(f"anthropic/{model}", (), temperature=0.5))) == takes


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ("u:a", "u:a"),
        ("u:a u:b", "u:a\n\nb"),
        ("u:a a:b a:c u:d", "u:a a:b\n\nc u:d"),
        ("u:a a: u:d", "u:a\n\nd"),
        ("u:a a:\n\t u:d", "u:a\n\nd"),
        ("u: a:b u:c", "u:c"),
        ("a:b u:c", "u:c"),
        ("u:", ""),
        ("", ""),
    ],
)
def test_turns_alternate_and_none_is_blank(turns: str, expected: str) -> None:
    assert alternating(_turns(turns)) == _turns(expected)


def _turns(text: str) -> list[Turn]:
    roles = {"u": "user", "a": "assistant"}
    return [Turn(roles[part[0]], part[2:]) for part in text.split(" ") if part]


# What an answer is


def test_an_answer_is_its_early_usage_deltas_usage_and_finish(upstream: Upstream) -> None:
    upstream.queue(Script(pieces=("Hel", "lo ", "wörld")))
    assert ask() == [EARLY, Delta("Hel"), Delta("lo "), Delta("wörld"), USAGE, Finish("stop")]


def test_the_early_usage_comes_before_the_answer(upstream: Upstream) -> None:
    upstream.script = Script(stall_after=0)

    async def first() -> None:
        provider = AnthropicProvider()
        batches = provider.stream(PROMPT)
        assert await asyncio.wait_for(anext(batches), 5) == [EARLY]
        await batches.aclose()
        await provider.aclose()

    asyncio.run(first())


def test_thinking_is_not_streamed(upstream: Upstream) -> None:
    usage = {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 45}}
    upstream.queue(Script(text="42", thinking="Six times seven.", usage=usage))
    pieces = ask()
    assert text_of(pieces) == "42" and pieces[-2:] == [Usage(7, 50, reasoning_tokens=45), Finish("stop")]


@pytest.mark.parametrize(
    "raw",
    [
        'event: ping\ndata: {"type": "ping"}\n\n',
        "event: ping\ndata: not json\n\n",
        'event: later\ndata: {"type": "later", "delta": "text"}\n\n',
        'data: {"type": "later", "delta": {"type": "text_delta", "text": "x"}}\n\n',
        'data: {"type": "content_block_delta", "delta": {"type": "later", "text": "x"}}\n\n',
        'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"type": "input_json_delta",'
        ' "partial_json": "{"}}\n\n',
        'event: content_block_start\ndata: {"type": "content_block_start", "content_block": {"type": "tool_use"}}\n\n',
    ],
)
def test_what_is_not_known_is_ignored(upstream: Upstream, raw: str) -> None:
    upstream.queue(Script(pieces=("a", "b"), raw=raw, raw_after=1))
    assert ask() == [EARLY, Delta("a"), Delta("b"), USAGE, Finish("stop")]


def test_text_may_stand_in_the_start_of_a_block_and_events_need_no_name(upstream: Upstream) -> None:
    start = {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "A"}}
    upstream.queue(Script(pieces=("b",), raw=f"data: {json.dumps(start)}\n\n", raw_after=0))
    assert text_of(ask()) == "Ab"


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("pause_turn", "stop"),
        ("later", "stop"),
        ("cancelled", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
    ],
)
def test_stop_reasons(upstream: Upstream, told: str, meant: str) -> None:
    upstream.queue(Script(finish_reason=told))
    assert ask()[-1] == Finish(meant)


def test_nothing_is_read_after_message_stop(upstream: Upstream) -> None:
    more = 'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}'
    upstream.queue(Script(text="Hi", hang=True, after_done=f"{more}\n\n"))
    assert ask() == [EARLY, Delta("Hi"), USAGE, Finish("stop")]
    assert upstream.wait_for_end().ended == "client_left"


def test_a_refusal_may_say_nothing(upstream: Upstream) -> None:
    upstream.queue(Script(pieces=(), finish_reason="refusal", usage={"output_tokens": 0}))
    assert ask() == [EARLY, Usage(7, 0), Finish("content_filter")]


# Usage


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ({"input_tokens": 7, "output_tokens": 1}, {"output_tokens": 5}, USAGE),
        (
            {"input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30, "output_tokens": 1},
            {"output_tokens": 5},
            Usage(100, 5, 60, 30),
        ),
        (
            {"input_tokens": 10, "output_tokens": 1},
            {"input_tokens": 12, "cache_read_input_tokens": 8, "cache_creation_input_tokens": None, "output_tokens": 5},
            Usage(20, 5, 8),
        ),
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 9, "output_tokens": 5}, Usage(9, 5)),
        ({"input_tokens": 9, "output_tokens": 0}, {"input_tokens": 0, "output_tokens": 5}, Usage(9, 5)),
        (
            {"input_tokens": 7, "output_tokens": 1},
            {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 99}},
            Usage(7, 5, reasoning_tokens=5),
        ),
        ({"input_tokens": 7}, {"output_tokens": 5, "output_tokens_details": [1]}, USAGE),
        (None, {"input_tokens": 7, "output_tokens": 5}, USAGE),
        ({"input_tokens": 7, "output_tokens": 3}, None, None),
        ({"input_tokens": 7, "output_tokens": 3}, {}, None),
        ({"input_tokens": 7}, {"output_tokens": 0}, None),
        ({"input_tokens": 7}, {"output_tokens": -5}, None),
        ({"input_tokens": 7}, {"output_tokens": "5"}, None),
        ({"input_tokens": 7}, {"output_tokens": 5.5}, None),
        ({"input_tokens": 7}, {"output_tokens": True}, None),
        ({"input_tokens": 7}, {"output_tokens": MOST_TOKENS + 1}, None),
        ({"input_tokens": MOST_TOKENS, "cache_read_input_tokens": 1}, {"output_tokens": 5}, None),
        ({"input_tokens": -7}, {"output_tokens": 5}, None),
        ({"input_tokens": 7, "cache_read_input_tokens": -1}, {"output_tokens": 5}, None),
        ({"input_tokens": 0}, {"output_tokens": 5}, None),
        (None, {"output_tokens": 5}, None),
        ([], "usage", None),
    ],
)
def test_usage_is_normalised_or_ignored(upstream: Upstream, start: Any, end: Any, expected: Usage | None) -> None:
    upstream.queue(Script(text="Hi", start_usage=start, usage=end))
    pieces = ask()
    final = [piece for piece in pieces if isinstance(piece, Usage) and not isinstance(piece, EarlyUsage)]
    assert final == ([] if expected is None else [expected])
    assert pieces[-1] == Finish("stop")


def test_the_usage_that_counts_is_the_last() -> None:
    assert read_usage({"input_tokens": 7, "output_tokens": 500}, {"output_tokens": 5}) == USAGE


# Failures


ABC = ("a", "b", "c")


@pytest.mark.parametrize(
    "script",
    [
        Script(pieces=("a", "b"), done=False),
        Script(pieces=("a", "b"), done=False, chunked=False),
        Script(pieces=ABC, garbage_after=2, garbage="[1]"),
        Script(pieces=ABC, garbage_after=2, garbage='{"type":"content_block_delta","delta":[1]}'),
        Script(pieces=ABC, garbage_after=2, garbage='{"type":"message_delta","usage":' + "[" * 100_000),
        Script(pieces=ABC, error_after=2, error={"type": "overloaded_error", "message": "sk-secret"}),
        Script(pieces=ABC, error_after=2, error={"type": "api_error", "message": "sk-secret"}),
        Script(pieces=ABC, error_after=2, error={"type": "timeout_error"}),
        Script(pieces=ABC, error_after=2, error={"type": ["later"]}),
        Script(pieces=ABC, error_after=2, error=None),
        Script(pieces=ABC, raw_after=2, raw='event: error\ndata: {"error": {}}\n\n'),
    ],
)
def test_an_answer_that_breaks_keeps_what_was_said_and_is_not_asked_again(upstream: Upstream, script: Script) -> None:
    upstream.script = script
    seen, error = ask_in_vain()
    assert (text_of(seen), kind(error), len(upstream.calls)) == ("ab", ("provider_error", True), 1)
    assert seen[0] == EARLY and not any(isinstance(piece, Finish) for piece in seen)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("overloaded_error", ("provider_error", True)),
        ("rate_limit_error", ("provider_rate_limited", True)),
        ("authentication_error", ("provider_auth", False)),
        ("permission_error", ("provider_auth", False)),
        ("invalid_request_error", ("invalid_request", False)),
        ("not_found_error", ("invalid_request", False)),
        ("request_too_large", ("invalid_request", False)),
        ("billing_error", ("invalid_request", False)),
        ("later_error", ("provider_error", True)),
    ],
)
def test_errors_told_inside_the_stream(upstream: Upstream, told: str, expected: tuple[str, bool]) -> None:
    upstream.script = Script(error_after=0, error={"type": told, "message": "private sk-secret"})
    assert kind(ask_in_vain()[1]) == expected
    assert len(upstream.calls) == 1


def test_neither_proxy_nor_host_comes_from_elsewhere(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    names = ("anthropic/@127.0.0.1:1/x", "anthropic/../../x?a=b#c", "anthropic/http://127.0.0.1:1")
    for name in names:
        assert ask(replace(PROMPT, model=name))[-1] == Finish("stop")
    assert [(call.path, call.headers["host"]) for call in upstream.calls] == [
        ("/v1/messages", f"127.0.0.1:{upstream.port}")
    ] * len(names)


# Models


def test_the_suggested_models_are_current_and_priced(settings: Settings) -> None:
    settings.STREAM_DEFAULT_MODEL = ""
    models = AnthropicProvider().models()
    assert tuple(model.id for model in models) == SUGGESTED_MODELS
    assert all(model.prices is not None and model.context_window for model in models)


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("claude-haiku-4-5", True),
        ("claude-99", True),
        ("anthropic/anything:at-all", True),
        ("anthropic/a/b", True),
        ("anthropic/", False),
        ("", False),
        ("demo", False),
        ("gpt-4o-mini", False),
        ("elsewhere/claude-haiku-4-5", False),
    ],
)
def test_which_names_are_ours(settings: Settings, name: str, is_ours: bool) -> None:
    settings.ANTHROPIC_API_KEY = ""
    assert (AnthropicProvider().resolve(name) is not None) == is_ours


def test_a_default_of_ones_own_comes_first(settings: Settings) -> None:
    settings.STREAM_DEFAULT_MODEL = "anthropic/mine"
    assert [model.id for model in AnthropicProvider().models()][:2] == ["anthropic/mine", SUGGESTED_MODELS[0]]


def test_a_prefixed_name_is_priced_as_its_model() -> None:
    plain, prefixed = AnthropicProvider().resolve("claude-haiku-4-5"), AnthropicProvider().resolve(PROMPT.model)
    assert plain is not None and prefixed is not None and plain.prices is not None
    assert prefixed.prices == plain.prices == catalogue_prices("anthropic", "claude-haiku-4-5", datetime.now(UTC))
    assert (plain.prices.cached_input, plain.prices.cache_write) == (100_000, 1_250_000)
    unknown = AnthropicProvider().resolve("anthropic/nobody-knows")
    assert unknown is not None and unknown.prices is None


def test_the_missing_setting_is_named(settings: Settings) -> None:
    registry.providers.cache_clear()
    settings.ANTHROPIC_API_KEY = " "
    provider, _ = registry.find("anthropic/claude-haiku-4-5")
    assert provider.name == "anthropic" and provider.missing_setting() == "ANTHROPIC_API_KEY"
    assert registry.find("claude-haiku-4-5")[0] is provider
    settings.ANTHROPIC_API_KEY = KEY
    assert provider.missing_setting() is None
