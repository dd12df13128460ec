"""Anthropic's models, over the messages API."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from streaming.conf import settings
from streaming.errors import ErrorType, ProviderError
from streaming.events import FinishReason
from streaming.pricing import Usage
from streaming.providers import http
from streaming.providers.base import EarlyUsage, Finish, Model, Piece, Prompt, Provider, Turn
from streaming.providers.catalogue import catalogue_prices, context_window, is_current, is_listed
from streaming.providers.decoder import ServerSentEvent
from streaming.providers.wire import Answer, broken, count, decode, detail, failed, numbers, read_answer

PREFIX = "anthropic/"
"""A model named ``anthropic/<name>`` is always this provider's, upstream ``<name>``."""

VERSION = "2023-06-01"
"""The version of the API that is spoken here: header ``anthropic-version``."""

SUGGESTED_MODELS = (
    "claude-haiku-5-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-fable-5-2",
    "claude-haiku-4-5",
    "claude-sonnet-4-6",
)
"""Models offered, the default first; those that the price list still calls current."""

MAX_TOKENS = 32_000
"""``max_tokens`` where a prompt leaves it open, which the API does not allow. Thinking counts towards it."""

MAX_TOKENS_OF_OLD_MODELS = (
    ("claude-3-7", MAX_TOKENS),
    ("claude-3-5", 8192),
    ("claude-3", 4096),
    ("claude-2", 4096),
    ("claude-v1", 4096),
    ("claude-instant", 4096),
)
"""By the start of the name: models that cannot say as much."""

_FINISH_REASONS = {
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.CONTENT_FILTER,
}
"""By ``stop_reason``; every other one is an end as meant."""

# Up to version 4.6. Later models answer 400 to any temperature but 1.
_TAKES_TEMPERATURE = re.compile(
    r"claude-(?:instant|v?[1-3](?!\d)|(?:opus|sonnet|haiku)-(?:3(?!\d)|4(?!\d|[-.](?:[789]|\d\d)(?!\d))))"
)
# Up to version 4.5. Later models answer 400 to a conversation that ends with an assistant's message.
_TAKES_PREFIX = re.compile(
    r"claude-(?:instant|v?[1-3](?!\d)|(?:opus|sonnet|haiku)-(?:3(?!\d)|4(?!\d|[-.](?:[6789]|\d\d)(?!\d))))"
)
_FAMILY = "claude-"


class AnthropicProvider(Provider):
    """The messages API at ``ANTHROPIC_BASE_URL`` with ``ANTHROPIC_API_KEY``; settings are read at each call."""

    name = "anthropic"

    def __init__(self, patience: http.Patience = http.DEFAULT_PATIENCE) -> None:
        self._patience = patience

    def missing_setting(self) -> str | None:
        return None if settings.ANTHROPIC_API_KEY.strip() else "ANTHROPIC_API_KEY"

    def models(self) -> Sequence[Model]:
        """STREAM_DEFAULT_MODEL where it is this provider's, then SUGGESTED_MODELS."""
        default = self.resolve(settings.STREAM_DEFAULT_MODEL)
        names = [name for name in SUGGESTED_MODELS if is_current(self.name, name)]
        if default is not None:
            names.insert(0, default.id)
        return [self._model(name) for name in dict.fromkeys(names)]

    def resolve(self, model: str) -> Model | None:
        """Its own are ``anthropic/<name>`` and what the price list takes for Anthropic's, without a prefix."""
        name = upstream_name(model)
        is_ours = bool(name) if model.startswith(PREFIX) else "/" not in model and is_listed(self.name, model)
        return self._model(model) if is_ours else None

    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Piece], None]:
        base_url = settings.ANTHROPIC_BASE_URL.strip().rstrip("/").removesuffix("/v1")
        events = http.post_for_events(
            f"{base_url}/v1/messages",
            headers={"x-api-key": settings.ANTHROPIC_API_KEY.strip(), "anthropic-version": VERSION},
            body=request_body(prompt),
            patience=self._patience,
        )
        return read_answer(events, MessageAnswer(prompt.seam))

    def most_output_tokens(self, prompt: Prompt) -> int | None:
        return _max_tokens(prompt)

    async def aclose(self) -> None:
        await http.aclose()

    def _model(self, model: str) -> Model:
        name = upstream_name(model)
        prices = catalogue_prices(self.name, name, datetime.now(UTC))
        return Model(id=model, provider=self.name, prices=prices, context_window=context_window(self.name, name))


def upstream_name(model: str) -> str:
    """The name that the API knows a ``Model.id`` by."""
    return model.removeprefix(PREFIX)


def request_body(prompt: Prompt) -> dict[str, Any]:
    """The JSON of a request.

    The temperature, 0 to 2 elsewhere, is 0 to 1 here: a higher one is sent as 1. To models that take none
    (all after version 4.6) none is sent: a parameter that only tunes does not fail a stream.
    The text so far is the beginning of the answer for models that take one, which must not end with a blank;
    others (all after version 4.5, and those of other families) are instructed to go on from it.
    """
    model = upstream_name(prompt.model)
    turns = prompt.prefixed_turns if takes_prefix(model) else prompt.instructed_turns
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in alternating(turns)],
        "max_tokens": _max_tokens(prompt),
        "stream": True,
    }
    if prompt.system is not None and prompt.system.strip():
        body["system"] = prompt.system
    if prompt.temperature is not None and takes_temperature(model):
        body["temperature"] = min(max(prompt.temperature, 0), 1)
    return body


def alternating(turns: Sequence[Turn]) -> list[Turn]:
    """``turns`` as the API takes them: none blank, the first the user's, one speaker never twice in a row."""
    kept: list[Turn] = []
    for turn in turns:
        if not turn.content.strip() or (not kept and turn.role != "user"):
            continue
        if kept and kept[-1].role == turn.role:
            turn = Turn(turn.role, f"{kept.pop().content}\n\n{turn.content}")
        kept.append(turn)
    return kept


def default_max_tokens(model: str) -> int:
    """The ``max_tokens`` of a prompt that leaves it open."""
    return next((most for start, most in MAX_TOKENS_OF_OLD_MODELS if model.startswith(start)), MAX_TOKENS)


def _max_tokens(prompt: Prompt) -> int:
    return default_max_tokens(upstream_name(prompt.model)) if prompt.max_tokens is None else prompt.max_tokens


def takes_temperature(model: str) -> bool:
    """Whether ``model``, an upstream name, accepts a temperature; names of other families are taken to."""
    return not model.startswith(_FAMILY) or _TAKES_TEMPERATURE.match(model) is not None


def takes_prefix(model: str) -> bool:
    """Whether ``model``, an upstream name, goes on from an assistant's message at the end."""
    return _TAKES_PREFIX.match(model) is not None


def read_usage(start: object, end: object) -> Usage | None:
    """The usage of ``message_start`` and of the last ``message_delta``, normalised; None where it cannot be true.

    The counts of the latter are of the whole answer so far. It may leave out those of the prompt, which are
    then the former's. The prompt is ``input_tokens``, which counts neither of these, and what was read from
    and written to the cache. Must be whole numbers up to MOST_TOKENS, the prompt not 0.
    """
    told = end if isinstance(end, dict) else {}
    prompt = _read_prompt(told) or _read_prompt(start)
    completion_tokens = count(told.get("output_tokens"))
    if prompt is None or completion_tokens is None:
        return None
    plain, cached, written = prompt
    reasoning = detail(told, "output_tokens_details", "thinking_tokens")
    return Usage(plain + cached + written, completion_tokens, cached, written, reasoning).bounded()


def _read_prompt(raw: object) -> tuple[int, int, int] | None:
    """Tokens sent, read from the cache, written to the cache; None where nothing true is said of them."""
    if not isinstance(raw, dict):
        return None
    plain = count(raw.get("input_tokens"))
    cached = count(raw.get("cache_read_input_tokens") or 0)
    written = count(raw.get("cache_creation_input_tokens") or 0)
    if plain is None or cached is None or written is None or not count(plain + cached + written):
        return None
    return plain, cached, written


class _Message(msgspec.Struct):
    usage: Any = None


class _Part(msgspec.Struct):
    """A ``content_block`` or a ``delta``."""

    type: str | None = None
    text: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    message: _Message | None = None
    content_block: _Part | None = None
    delta: _Part | None = None
    usage: Any = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Event)

_READ = frozenset(
    {b"message_start", b"content_block_start", b"content_block_delta", b"message_delta", b"message_stop", b"error"}
)


class MessageAnswer(Answer):
    """What was read of one message so far."""

    def __init__(self, seam: str = "") -> None:
        super().__init__(seam)
        self._stop_reason = ""
        self._start_usage: object = None
        self._end_usage: object = None

    def read_event(self, event: ServerSentEvent) -> Iterable[Piece]:
        if event.event and event.event not in _READ:
            return ()
        read = decode(event.data, _decoder)
        kind = read.type or event.event.decode("ascii", "replace")
        if kind == "content_block_delta" and read.delta is not None:
            return self.text(read.delta.text) if read.delta.type == "text_delta" else ()
        if kind == "content_block_start" and read.content_block is not None:
            return self.text(read.content_block.text) if read.content_block.type == "text" else ()
        if kind == "message_start" and read.message is not None:
            return self._start(read.message)
        if kind == "message_delta":
            self._end_usage = read.usage if read.usage is not None else self._end_usage
            self._stop_reason = (read.delta.stop_reason if read.delta is not None else None) or self._stop_reason
        elif kind == "message_stop":
            self.is_done = True
        elif kind == "error":
            raise _told_error(read.error)
        return ()

    def end(self) -> list[Piece]:
        if not self.is_done or not self._stop_reason:
            raise broken("the answer ended without message_stop or a stop reason")
        pieces = self.rest()
        usage = read_usage(self._start_usage, self._end_usage)
        if usage is not None and (usage.completion_tokens or not self.has_text):
            raw = {"message_start": numbers(self._start_usage), "message_delta": numbers(self._end_usage)}
            pieces.append(replace(usage, raw=raw))
        pieces.append(Finish(_FINISH_REASONS.get(self._stop_reason, FinishReason.STOP)))
        return pieces

    def _start(self, message: _Message) -> Iterable[Piece]:
        self._start_usage = message.usage
        usage = read_usage(message.usage, message.usage)
        if usage is None:
            return ()
        return (
            EarlyUsage(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cache_write_tokens),
        )


def _told_error(error: object) -> ProviderError:
    """The failure that an ``error`` event tells of; its text stays here."""
    match error.get("type") if isinstance(error, dict) else None:
        case "rate_limit_error":
            return ProviderError(
                "The provider is limiting requests at the moment. Please try again later.",
                error_type=ErrorType.PROVIDER_RATE_LIMITED,
                retryable=True,
                detail="rate_limit_error inside the stream",
            )
        case "authentication_error" | "permission_error":
            return ProviderError(
                "The provider did not accept the configured API key.",
                error_type=ErrorType.PROVIDER_AUTH,
                detail="authentication_error inside the stream",
            )
        case "invalid_request_error" | "not_found_error" | "request_too_large" | "billing_error":
            return ProviderError(
                "The provider did not accept this request.",
                error_type=ErrorType.INVALID_REQUEST,
                detail="an error inside the stream",
            )
    return failed()
