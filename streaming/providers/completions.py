"""The wire of OpenAI's chat completions, which many servers speak."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import msgspec

from streaming.errors import ErrorType, ProviderError
from streaming.events import FINISH_REASONS, FinishReason
from streaming.pricing import Usage
from streaming.providers import http
from streaming.providers.base import Finish, Piece, Prompt
from streaming.providers.decoder import ServerSentEvent
from streaming.providers.wire import Answer, broken, count, decode, detail, failed, numbers, read_answer

PREFIX, CONTINUE = "prefix", "continue_final_message"
CONTINUATIONS = ("", PREFIX, CONTINUE)
"""How a server is told to go on from the text so far: by an instruction, which is all that OpenAI's own takes; by a
mark on the last message (Mistral, DeepSeek); by parameters (vLLM, SGLang)."""


def stream_completion(
    prompt: Prompt, *, model: str, base_url: str, key: str, patience: http.Patience, continuation: str = ""
) -> AsyncGenerator[Sequence[Piece], None]:
    """Ask ``base_url`` (up to and including its version) for ``model``; see ``Provider.stream``.

    Without a ``key`` no Authorization header is sent. ``continuation``: one of CONTINUATIONS; empty: what is known of
    the address.
    """
    base_url, key = base_url.strip().rstrip("/"), key.strip()
    events = http.post_for_events(
        f"{base_url}/chat/completions",
        headers={"Authorization": f"Bearer {key}"} if key else {},
        body=request_body(prompt, model, base_url, continuation),
        patience=patience,
    )
    return read_answer(events, CompletionAnswer(prompt.seam))


def request_body(prompt: Prompt, model: str, base_url: str, continuation: str = "") -> dict[str, Any]:
    """The JSON of a chat completion request. What the prompt leaves open is left out."""
    continuation = continuation or (PREFIX if _takes_prefix(base_url) else "")
    turns = prompt.prefixed_turns if continuation else prompt.instructed_turns
    messages: list[dict[str, Any]] = [{"role": turn.role, "content": turn.content} for turn in turns]
    if prompt.beginning and continuation == PREFIX:
        messages[-1]["prefix"] = True
    if prompt.system is not None:
        messages.insert(0, {"role": "system", "content": prompt.system})
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": True}
    if prompt.beginning and continuation == CONTINUE:
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if not _is_mistral(base_url):
        # Mistral refuses the field, and sends the usage without being asked.
        body["stream_options"] = {"include_usage": True}
    if prompt.temperature is not None:
        body["temperature"] = prompt.temperature
    if prompt.max_tokens is not None:
        # OpenAI's newer models refuse max_tokens, other servers know nothing else.
        body["max_completion_tokens" if is_openai(base_url) else "max_tokens"] = prompt.max_tokens
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
    prompt_tokens = count(raw.get("prompt_tokens"))
    completion_tokens = count(raw.get("completion_tokens"))
    if not prompt_tokens or completion_tokens is None or (has_text and not completion_tokens):
        return None
    return Usage(
        prompt_tokens,
        completion_tokens,
        cached_tokens=detail(raw, "prompt_tokens_details", "cached_tokens"),
        cache_write_tokens=detail(raw, "prompt_tokens_details", "cache_write_tokens"),
        reasoning_tokens=detail(raw, "completion_tokens_details", "reasoning_tokens"),
    ).bounded()


def is_openai(base_url: str) -> bool:
    """Whether the address is OpenAI's own, or Azure's."""
    host = _host(base_url)
    return host == "api.openai.com" or host.endswith((".api.openai.com", ".openai.azure.com"))


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


class CompletionAnswer(Answer):
    """What was read of one chat completion so far."""

    def __init__(self, seam: str = "") -> None:
        super().__init__(seam)
        self._finish_reason = ""
        self._usage: object = None

    def read_event(self, event: ServerSentEvent) -> Iterable[Piece]:
        if event.data == b"[DONE]":
            self.is_done = True
            return ()
        chunk = decode(event.data, _decoder)
        if chunk.error:
            raise _told_error(chunk.error)
        if chunk.usage is not None:
            self._usage = chunk.usage
        elif chunk.choices is None:
            raise broken("a chunk without choices")
        return self._read_choice(chunk.choices[0]) if chunk.choices else ()

    def end(self) -> list[Piece]:
        if not self._finish_reason:
            raise broken("the answer ended without a finish reason")
        pieces = self.rest()
        usage = read_usage(self._usage, has_text=self.has_text)
        if usage is not None:
            pieces.append(replace(usage, raw=numbers(self._usage)))
        pieces.append(Finish(self._finish_reason))
        return pieces

    def _read_choice(self, choice: _Choice) -> Iterable[Piece]:
        if choice.finish_reason == "error":
            raise broken("the server says that it failed")
        if choice.finish_reason:
            known = choice.finish_reason in FINISH_REASONS and choice.finish_reason != FinishReason.CANCELLED
            self._finish_reason = choice.finish_reason if known else FinishReason.STOP
        return self.text(choice.delta.content if choice.delta is not None else None)


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
    return failed()


def _is_mistral(base_url: str) -> bool:
    return _host(base_url) == "api.mistral.ai"


def _takes_prefix(base_url: str) -> bool:
    """Mistral's own API, and DeepSeek's under its address for what is new."""
    return _is_mistral(base_url) or base_url.strip().rstrip("/") == "https://api.deepseek.com/beta"


def _host(base_url: str) -> str:
    try:
        return urlsplit(base_url).hostname or ""
    except ValueError:
        return ""
