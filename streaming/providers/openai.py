"""OpenAI's models, and whatever server speaks chat completions at ``OPENAI_BASE_URL``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

from streaming.conf import settings
from streaming.providers import http
from streaming.providers.base import Model, Piece, Prompt, Provider
from streaming.providers.catalogue import catalogue_prices, context_window, is_current, is_listed
from streaming.providers.completions import is_openai, stream_completion
from streaming.providers.servers import server_prefixes

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
        if not names or is_openai(settings.OPENAI_BASE_URL):
            names += [name for name in SUGGESTED_MODELS if is_current(self.name, name)]
        if default is not None:
            names.insert(0, default.id)
        return [self._model(name) for name in dict.fromkeys(names)]

    def resolve(self, model: str) -> Model | None:
        if model.startswith(PREFIX):
            return self._model(model) if upstream_name(model) else None
        is_ours = model in _named_models() or is_listed(self.name, model) or _is_our_default(model)
        return self._model(model) if is_ours else None

    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Piece], None]:
        return stream_completion(
            prompt,
            model=upstream_name(prompt.model),
            base_url=settings.OPENAI_BASE_URL,
            key=settings.OPENAI_API_KEY,
            patience=self._patience,
        )

    async def aclose(self) -> None:
        await http.aclose()

    def _model(self, model: str) -> Model:
        name = upstream_name(model)
        prices = catalogue_prices(self.name, name, datetime.now(UTC))
        return Model(id=model, provider=self.name, prices=prices, context_window=context_window(self.name, name))


def upstream_name(model: str) -> str:
    """The name that the server knows a ``Model.id`` by."""
    return model.removeprefix(PREFIX)


def _named_models() -> list[str]:
    return [name for name in (part.strip() for part in settings.OPENAI_MODELS.split(",")) if name]


def _address(name: str) -> str:
    """The ``Model.id`` of an upstream name: itself, unless it would be taken for another's, or our prefix cut off."""
    return PREFIX + name if name.startswith((PREFIX, *server_prefixes())) else name


def _is_our_default(model: str) -> bool:
    others = (*_OTHER_PROVIDERS, *server_prefixes())
    return bool(model) and model == settings.STREAM_DEFAULT_MODEL and not model.startswith(others)
