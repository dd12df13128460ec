"""OpenAI's chat completions, and whatever server speaks them at ``OPENAI_BASE_URL``."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from streaming.conf import settings
from streaming.errors import ErrorType, ProviderError
from streaming.events import FINISH_REASONS, FinishReason
from streaming.pricing import MOST_TOKENS, Usage
from streaming.providers import http
from streaming.providers.base import Delta, Finish, Model, Piece, Prompt, Provider
from streaming.providers.catalogue import catalogue_prices, context_window, is_current, is_listed
from streaming.providers.decoder import ServerSentEvent

PREFIX = "openai/"
"""A model named ``openai/<name>`` is always this provider's, upstream ``<name>``."""

SUGGESTED_MODELS = (
    "gpt-6-luna",
    "gpt-6.1-terra",
    "gpt-6.1-sol",
    "gpt-5.6-luna",
    "gpt-5.4-mini",
    "gpt-4.1-mini",
    "gpt-4o-mini",
)
"""Models offered where no others are named, the default first; those that the price list still calls current."""

# Where STREAM_DEFAULT_MODEL starts with one of these, it means another provider's model.
_OTHER_PROVIDERS = ("demo", "anthropic/", "claude")


class OpenAIProvider(Provider):
    """Chat completions over ``OPENAI_BASE_URL`` with ``OPENAI_API_KEY``; settings are read at each call."""

    name = "openai"

    def __init__(self, patience: http.Patience = http.DEFAULT_PATIENCE) -> None:
        self._patience = patience

    def missing_setting(self) -> str | None:
        return None if settings.OPENAI_API_KEY.strip() else "OPENAI_API_KEY"

    def models(self) -> Sequence[Model]:
        """STREAM_DEFAULT_MODEL where it is this provider's, ``OPENAI_MODELS``, then SUGGESTED_MODELS.

        A server elsewhere that ``OPENAI_MODELS`` names models of is taken to serve only those.
        """
        default = self.resolve(settings.STREAM_DEFAULT_MODEL)
        names = [_address(name) for name in _named_models()]
        if not names or _is_openai(settings.OPENAI_BASE_URL):
            names += [name for name in SUGGESTED_MODELS if is_current(self.name, name)]
        if default is not None:
            names.insert(0, default.id)
        return [self._model(name) for name in dict.fromkeys(names)]

    def resolve(self, model: str) -> Model | None:
        if model.startswith(PREFIX):
            return self._model(model) if upstream_name(model) else None
        is_ours = model in _named_models() or is_listed(self.name, model) or _is_our_default(model)
        return self._model(model) if is_ours else None

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Piece], None]:
        base_url = settings.OPENAI_BASE_URL.strip().rstrip("/")
        events = http.post_for_events(
            f"{base_url}/chat/completions",
            headers={"Authorization": f"Bearer {settings.OPENAI_API_KEY.strip()}"},
            body=request_body(prompt, base_url),
            patience=self._patience,
        )
        answer = _Answer()
        async with aclosing(events):
            async for batch in events:
                pieces, failure = answer.read(batch)
                if pieces:
                    yield pieces
                if failure is not None:
                    raise failure
                if answer.is_done:
                    break
        yield answer.end()

    async def aclose(self) -> None:
        await http.aclose()

    def _model(self, model: str) -> Model:
        name = upstream_name(model)
        prices = catalogue_prices(self.name, name, datetime.now(UTC))
        return Model(id=model, provider=self.name, prices=prices, context_window=context_window(self.name, name))


def upstream_name(model: str) -> str:
    """The name that the server knows a ``Model.id`` by."""
    return model.removeprefix(PREFIX)


def request_body(prompt: Prompt, base_url: str) -> dict[str, Any]:
    """The JSON of a chat completion request. What the prompt leaves open is left out."""
    messages = [{"role": turn.role, "content": turn.content} for turn in prompt.turns]
    if prompt.system is not None:
        messages.insert(0, {"role": "system", "content": prompt.system})
    body: dict[str, Any] = {
        "model": upstream_name(prompt.model),
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.temperature is not None:
        body["temperature"] = prompt.temperature
    if prompt.max_tokens is not None:
        # OpenAI's newer models refuse max_tokens, other servers know nothing else.
        body["max_completion_tokens" if _is_openai(base_url) else "max_tokens"] = prompt.max_tokens
    return body


def read_usage(raw: object, *, has_text: bool) -> Usage | None:
    """A server's usage, normalised; None where it says nothing or cannot be true.

    ``prompt_tokens`` and ``completion_tokens`` must be whole numbers up to MOST_TOKENS, the first not 0,
    the second not 0 where there was text: otherwise the whole usage is ignored and the cost estimated
    from our own counts. The subsets (cached, cache-written, reasoning) are clamped to what they are
    part of, and 0 where they are not whole numbers. ``total_tokens`` is not looked at.
    """
    if not isinstance(raw, dict):
        return None
    prompt_tokens = _count(raw.get("prompt_tokens"))
    completion_tokens = _count(raw.get("completion_tokens"))
    if not prompt_tokens or completion_tokens is None or (has_text and not completion_tokens):
        return None
    cached = min(_detail(raw, "prompt_tokens_details", "cached_tokens"), prompt_tokens)
    written = min(_detail(raw, "prompt_tokens_details", "cache_write_tokens"), prompt_tokens - cached)
    reasoning = min(_detail(raw, "completion_tokens_details", "reasoning_tokens"), completion_tokens)
    return Usage(prompt_tokens, completion_tokens, cached, written, reasoning)


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class _Answer:
    """What was read of one answer so far."""

    def __init__(self) -> None:
        self.is_done = False
        self._finish_reason = ""
        self._usage: object = None
        self._has_text = False
        self._half_pair = ""

    def read(self, events: Sequence[ServerSentEvent]) -> tuple[list[Piece], ProviderError | None]:
        """The pieces that ``events`` brought, and the failure that ended them."""
        pieces: list[Piece] = []
        try:
            for event in events:
                if event.data == b"[DONE]":
                    self.is_done = True
                    break
                if content := self._read_chunk(event.data):
                    self._has_text = True
                    pieces.append(Delta(content))
        except ProviderError as failure:
            return pieces, failure
        return pieces, None

    def end(self) -> list[Piece]:
        """The last pieces, once the server has ended its answer. Raises ProviderError where it broke off."""
        if not self._finish_reason:
            raise _broken("the answer ended without a finish reason")
        pieces: list[Piece] = [Delta("\ufffd")] if self._half_pair else []
        usage = read_usage(self._usage, has_text=self._has_text)
        if usage is not None:
            pieces.append(usage)
        pieces.append(Finish(self._finish_reason))
        return pieces

    def _read_chunk(self, data: bytes) -> str:
        chunk = _decode(data)
        if chunk.error:
            raise _told_error(chunk.error)
        if chunk.usage is not None:
            self._usage = chunk.usage
        elif chunk.choices is None:
            raise _broken("a chunk without choices")
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        if choice.finish_reason == "error":
            raise _broken("the server says that it failed")
        if choice.finish_reason:
            known = choice.finish_reason in FINISH_REASONS and choice.finish_reason != FinishReason.CANCELLED
            self._finish_reason = choice.finish_reason if known else FinishReason.STOP
        content = (choice.delta.content if choice.delta is not None else None) or ""
        return self._whole_characters(content) if content else ""

    def _whole_characters(self, content: str) -> str:
        """``content`` with surrogate pairs joined, also over two deltas, and lone ones as U+FFFD."""
        content = self._half_pair + content
        self._half_pair = ""
        if content.isascii():
            return content
        if "\ud800" <= content[-1] <= "\udbff":
            content, self._half_pair = content[:-1], content[-1]
        return content.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decode(data: bytes) -> _Chunk:
    try:
        try:
            return _decoder.decode(data)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            # The fast decoder refuses lone surrogates, which servers send where they cut an emoji in two.
            return msgspec.convert(json.loads(data), _Chunk)
    except (ValueError, RecursionError) as error:
        raise _broken(f"a chunk that cannot be read: {type(error).__name__}") from None


def _told_error(error: object) -> ProviderError:
    """The failure that an error object inside the stream tells of; its text stays here."""
    code, kind = (error.get("code"), error.get("type")) if isinstance(error, dict) else (None, None)
    is_ours = kind == "invalid_request_error" or (code in range(400, 500) and code not in (408, 429))
    if is_ours:
        return ProviderError(
            "The provider did not accept this request.",
            error_type=ErrorType.INVALID_REQUEST,
            detail="an error inside the stream",
        )
    return ProviderError(
        "The provider failed while it was answering. Please try again.",
        retryable=True,
        detail="an error inside the stream",
    )


def _broken(detail: str) -> ProviderError:
    return ProviderError("The provider's answer broke off. Please try again.", retryable=True, detail=detail)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MOST_TOKENS else None


def _detail(usage: dict[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    return (_count(details.get(name)) or 0) if isinstance(details, dict) else 0


def _named_models() -> list[str]:
    return [name for name in (part.strip() for part in settings.OPENAI_MODELS.split(",")) if name]


def _address(name: str) -> str:
    """The ``Model.id`` of an upstream name: itself, unless our prefix would be taken off it."""
    return PREFIX + name if name.startswith(PREFIX) else name


def _is_our_default(model: str) -> bool:
    return bool(model) and model == settings.STREAM_DEFAULT_MODEL and not model.startswith(_OTHER_PROVIDERS)


def _is_openai(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return host == "api.openai.com" or host.endswith((".api.openai.com", ".openai.azure.com"))
