"""OpenAI-compatible servers by name: the setting, their models, keys and prices, and which provider a name means."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from streaming.errors import InvalidRequest, Unavailable
from streaming.pricing import Usage
from streaming.providers import registry
from streaming.providers.base import INSTRUCTION, Delta, Finish, Piece, Prompt, Provider, Turn
from streaming.providers.catalogue import catalogue_prices
from streaming.providers.completions import request_body
from streaming.providers.servers import Server, read_servers, server_problems, servers
from tests.upstream import Script, Upstream

LOCAL = "http://localhost:11434/v1"
PROMPT = Prompt("my-server/llama:8b", (Turn("user", "a private prompt"),), max_tokens=3)


@pytest.fixture(autouse=True)
def new_registry(settings: Settings) -> Iterator[None]:
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = settings.STREAM_DEFAULT_MODEL = settings.OPENAI_MODELS = ""
    registry.providers.cache_clear()
    yield
    registry.providers.cache_clear()


@pytest.fixture
def upstream(settings: Settings) -> Iterator[Upstream]:
    with Upstream() as server:
        settings.STREAM_OPENAI_COMPATIBLE = f"my-server={server.url}/"
        yield server


def ask(prompt: Prompt = PROMPT) -> list[Piece]:
    provider, _ = registry.find(prompt.model)
    seen: list[Piece] = []

    async def collect() -> None:
        async for batch in provider.stream(prompt):
            seen.extend(batch)
        await provider.aclose()

    asyncio.run(collect())
    return seen


def named(name: str) -> Provider:
    [provider] = [provider for provider in registry.providers() if provider.name == name]
    return provider


# What goes on from the text so far

MARK = {"role": "assistant", "content": "1 2", "prefix": True}
PLAIN = {"role": "assistant", "content": "1 2"}
OPEN_ENDED = {"continue_final_message": True, "add_generation_prompt": False}


@pytest.mark.parametrize(
    ("base_url", "continuation", "last", "more"),
    [
        (LOCAL, "", {"role": "user", "content": INSTRUCTION}, {}),
        ("https://api.deepseek.com/v1", "", {"role": "user", "content": INSTRUCTION}, {}),
        ("https://api.deepseek.com/beta/", "", MARK, {}),
        ("https://api.mistral.ai/v1", "", MARK, {}),
        (LOCAL, "prefix", MARK, {}),
        (LOCAL, "continue_final_message", PLAIN, OPEN_ENDED),
    ],
)
def test_each_server_is_told_in_its_way_to_go_on(
    base_url: str, continuation: str, last: dict[str, Any], more: dict[str, Any]
) -> None:
    asked = {"role": "user", "content": "a private prompt"}
    begun = request_body(replace(PROMPT, so_far="1 2 "), "x", base_url, continuation)
    assert begun["messages"][:1] == [asked]
    assert begun["messages"][-1] == last
    plain = request_body(PROMPT, "x", base_url, continuation)
    assert plain["messages"] == [asked]
    assert {**begun, "messages": []} == {**plain, "messages": [], **more}


def test_a_server_is_named_its_way(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVER_CONTINUATION", "continue_final_message")
    upstream.queue(Script(pieces=(" 3", " 4")))
    assert ask(replace(PROMPT, so_far="1 2 "))[:2] == [Delta("3"), Delta(" 4")]
    assert upstream.calls[0].body.items() >= OPEN_ENDED.items()


def test_a_way_that_is_not_known_is_told(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVER_CONTINUATION", "magic")
    [told] = server_problems()
    assert told == "my-server: MY_SERVER_CONTINUATION is neither prefix nor continue_final_message."


# The setting


def test_servers_are_read_in_order() -> None:
    found, problems = read_servers(f" ollama={LOCAL} ,, groq=https://api.groq.com/openai/v1,")
    assert found == [Server("ollama", LOCAL), Server("groq", "https://api.groq.com/openai/v1")] and problems == []
    assert read_servers("") == ([], [])


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("ollama", "Entry 1 is not name=base_url"),
        ("=http://x/v1", "Entry 1 is not name=base_url"),
        (f"Ollama={LOCAL}", "Entry 1 is not name=base_url"),
        (f"a.b={LOCAL}", "Entry 1 is not name=base_url"),
        (f"a/b={LOCAL}", "Entry 1 is not name=base_url"),
        (f"ö={LOCAL}", "Entry 1 is not name=base_url"),
        (f"{'a' * 33}={LOCAL}", "Entry 1 is not name=base_url"),
        (f"openai={LOCAL}", "openai: this name is taken"),
        (f"anthropic={LOCAL}", "anthropic: this name is taken"),
        (f"demo={LOCAL}", "demo: this name is taken"),
        ("x=", "x: its address is not an http"),
        ("x=localhost:11434", "x: its address is not an http"),
        ("x=ftp://host/v1", "x: its address is not an http"),
        ("x=http://", "x: its address is not an http"),
        ("x=http://[::1", "x: its address is not an http"),
        ("x=http://host:99999/v1", "x: its address is not an http"),
        ("x=http://ho st/v1", "x: its address is not an http"),
        ("x=http://me:sk-secret@host/v1", "x: its address holds a user name"),
        ("x=http://host/v1?key=sk-secret", "x: its address has a query"),
        ("x=http://host/v1#a", "x: its address has a query"),
    ],
)
def test_a_malformed_entry_is_told_and_left_out(settings: Settings, entry: str, problem: str) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = f"{entry},good={LOCAL}"
    assert [server.name for server in servers()] == ["good"]
    [told] = server_problems()
    assert told.startswith(problem) and "sk-secret" not in told
    with pytest.raises(ImproperlyConfigured, match="STREAM_OPENAI_COMPATIBLE"):
        registry.providers()


@pytest.mark.parametrize("second", ["a-b", "a_b"])
def test_two_servers_with_one_key_are_refused(second: str) -> None:
    found, [problem] = read_servers(f"a-b={LOCAL},{second}={LOCAL}")
    assert [server.name for server in found] == ["a-b"] and "A_B_API_KEY" in problem


# What is asked of them


def test_a_server_is_asked_as_openai_is(upstream: Upstream) -> None:
    upstream.queue(Script(text="Hi"))
    assert ask() == [Delta("Hi"), Usage(7, 5), Finish("stop")]
    [call] = upstream.calls
    assert call.path == "/v1/chat/completions"
    assert (call.body["model"], call.body["max_tokens"]) == ("llama:8b", 3)


def test_without_a_key_none_is_sent(upstream: Upstream) -> None:
    ask()
    assert "authorization" not in upstream.calls[0].headers


def test_the_key_is_of_the_settings_or_of_the_environment(
    upstream: Upstream, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SERVER_API_KEY", " sk-environment ")
    ask()
    settings.MY_SERVER_API_KEY = "sk-settings"
    ask()
    assert [call.authorization for call in upstream.calls] == ["Bearer sk-environment", "Bearer sk-settings"]


def test_mistral_is_not_sent_what_it_refuses() -> None:
    assert "stream_options" not in request_body(PROMPT, "x", "https://api.mistral.ai/v1")
    assert "stream_options" in request_body(PROMPT, "x", "https://api.mistral.ai.example.org/v1")


# Names


def test_servers_stand_between_the_others(settings: Settings) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = f"ollama={LOCAL},vllm=http://localhost:8000/v1"
    names = [provider.name for provider in registry.providers()]
    assert names == ["openai", "anthropic", "ollama", "vllm", "demo"]
    assert named("ollama") is named("ollama")


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("ollama/llama3.2", "ollama"),
        ("ollama/library/llama3.2:1b", "ollama"),
        ("ollama/claude-haiku-4-5", "ollama"),
        ("ollama/gpt-4o", "ollama"),
        ("vllm/x", "vllm"),
        ("openai/ollama/x", "openai"),
        ("anthropic/ollama/x", "anthropic"),
        ("claude-haiku-4-5", "anthropic"),
        ("gpt-4o", "openai"),
        ("demo", "demo"),
    ],
)
def test_a_prefix_means_its_server(settings: Settings, model: str, provider: str) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = f"ollama={LOCAL},vllm=http://localhost:8000/v1"
    assert registry.knows(model)
    found, resolved = registry.find(model)
    assert (found.name, resolved.id, resolved.provider) == (provider, model, provider)


@pytest.mark.parametrize("model", ["ollama/", "ollama", "elsewhere/x", "llama3.2"])
def test_other_names_are_not_known(settings: Settings, model: str) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = f"ollama={LOCAL}"
    with pytest.raises(InvalidRequest):
        registry.find(model)


def test_a_model_that_openai_lists_under_a_servers_prefix_keeps_an_address(settings: Settings) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = f"ollama={LOCAL}"
    settings.OPENAI_BASE_URL, settings.OPENAI_MODELS = "http://proxy/v1", "ollama/x,y"
    ids = [model.id for model in named("openai").models()]
    assert ids == ["openai/ollama/x", "y"]
    assert all(registry.find(each)[0].name == "openai" for each in ids)


def test_models_are_those_that_a_setting_names(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = f"my-server={LOCAL}"
    assert named("my-server").models() == []
    monkeypatch.setenv("MY_SERVER_MODELS", " a , b/c,,a")
    assert [model.id for model in named("my-server").models()] == ["my-server/a", "my-server/b/c"]
    settings.STREAM_DEFAULT_MODEL = "my-server/mine"
    assert next(iter(named("my-server").models())).id == "my-server/mine"


def test_the_default_of_a_server_is_not_taken_for_openais(settings: Settings) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = f"ollama={LOCAL}"
    settings.STREAM_DEFAULT_MODEL = "ollama/llama3.2"
    assert named("openai").resolve("ollama/llama3.2") is None
    assert registry.default()[1].id == "ollama/llama3.2"


def test_the_default_model_is_of_the_first_that_offers_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = f"ollama={LOCAL}"
    assert registry.default()[1].id == "demo"
    monkeypatch.setenv("OLLAMA_MODELS", "llama3.2")
    assert registry.default()[1].id == "ollama/llama3.2"
    settings.ANTHROPIC_API_KEY = "sk"
    assert registry.default()[1].id == "claude-haiku-5-5"


def test_without_any_provider_there_is_no_default(settings: Settings) -> None:
    settings.STREAM_PROVIDERS = ()
    with pytest.raises(Unavailable, match="No provider"):
        registry.default()


# Prices


def test_a_provider_that_the_price_list_knows_by_name_is_priced(settings: Settings) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = "deepseek=https://api.deepseek.com/v1,openrouter=https://openrouter.ai/api/v1"
    for name, model in (("deepseek", "deepseek-chat"), ("openrouter", "openai/gpt-4o-mini")):
        _, found = registry.find(f"{name}/{model}")
        assert found.prices is not None
        assert found.prices == catalogue_prices(name, model, datetime.now(UTC))


@pytest.mark.parametrize("model", ["ollama/llama3.2", "ollama/gpt-4o-mini", "deepseek/nobody-knows"])
def test_another_models_price_is_not_known(settings: Settings, model: str) -> None:
    settings.STREAM_OPENAI_COMPATIBLE = f"ollama={LOCAL},deepseek=https://api.deepseek.com/v1"
    assert registry.find(model)[1].prices is None
