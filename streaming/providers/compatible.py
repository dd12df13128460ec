"""OpenAI-compatible servers by name: Ollama, vLLM, llama.cpp, OpenRouter, Groq, …"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

from streaming.conf import settings
from streaming.providers import http
from streaming.providers.base import Model, Piece, Prompt, Provider
from streaming.providers.catalogue import catalogue_prices, context_window
from streaming.providers.completions import stream_completion
from streaming.providers.servers import Server


class CompatibleProvider(Provider):
    """One server of ``STREAM_OPENAI_COMPATIBLE``. Its key and models are read at each call.

    A model costs what the price list says for the provider of this very name (``groq``, ``openrouter``,
    ``mistral``, ``deepseek``, …); any other server's prices are not known, unless a ``ModelPrice`` names them.
    """

    def __init__(self, server: Server, patience: http.Patience = http.DEFAULT_PATIENCE) -> None:
        self.name = server.name
        self._server = server
        self._patience = patience

    def missing_setting(self) -> str | None:
        return None

    def models(self) -> Sequence[Model]:
        """STREAM_DEFAULT_MODEL where it is this server's, then ``NAME_MODELS``; what else it serves is not known."""
        default = self.resolve(settings.STREAM_DEFAULT_MODEL)
        ids = [self._server.prefix + name for name in self._server.models]
        if default is not None:
            ids.insert(0, default.id)
        return [self._model(each) for each in dict.fromkeys(ids)]

    def resolve(self, model: str) -> Model | None:
        is_ours = model.startswith(self._server.prefix) and model != self._server.prefix
        return self._model(model) if is_ours else None

    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Piece], None]:
        return stream_completion(
            prompt,
            model=self._upstream_name(prompt.model),
            base_url=self._server.base_url,
            key=self._server.key,
            patience=self._patience,
            continuation=self._server.continuation,
        )

    async def aclose(self) -> None:
        await http.aclose()

    def _model(self, model: str) -> Model:
        name = self._upstream_name(model)
        prices = catalogue_prices(self.name, name, datetime.now(UTC))
        return Model(id=model, provider=self.name, prices=prices, context_window=context_window(self.name, name))

    def _upstream_name(self, model: str) -> str:
        return model.removeprefix(self._server.prefix)
