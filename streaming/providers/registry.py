"""The providers of this installation, and which of them serves a model."""

from __future__ import annotations

import functools

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from streaming.conf import settings
from streaming.errors import FieldError, InvalidRequest, Unavailable
from streaming.providers.base import Model, Provider
from streaming.providers.compatible import CompatibleProvider
from streaming.providers.servers import server_problems, servers


@functools.cache
def providers() -> tuple[Provider, ...]:
    """One object of each provider in ``STREAM_PROVIDERS``, in that order, and of each named server.

    The servers stand before ``demo``. Raises ImproperlyConfigured where ``STREAM_OPENAI_COMPATIBLE`` has
    a problem.
    """
    if problems := server_problems():
        raise ImproperlyConfigured(f"STREAM_OPENAI_COMPATIBLE: {' '.join(problems)}")
    named = [CompatibleProvider(server) for server in servers()]
    others: list[Provider] = [import_string(path)() for path in settings.STREAM_PROVIDERS]
    place = next((place for place, provider in enumerate(others) if provider.name == "demo"), len(others))
    return (*others[:place], *named, *others[place:])


def configured() -> list[Provider]:
    """The providers that can be used now."""
    return [provider for provider in providers() if provider.missing_setting() is None]


def default() -> tuple[Provider, Model]:
    """Who serves a request that names no model. Raises Unavailable, naming the setting, where nobody does."""
    if name := settings.STREAM_DEFAULT_MODEL:
        if (found := _find(name)) is None:
            raise Unavailable("No provider is known for the default model; the setting STREAM_DEFAULT_MODEL is wrong.")
        return found
    for provider in configured():
        if models := provider.models():
            return provider, models[0]
    raise Unavailable("No provider is configured, and the setting STREAM_DEFAULT_MODEL is missing.")


def knows(model: str) -> bool:
    """Whether a provider, configured or not, is known for this model."""
    return _find(model) is not None


def find(model: str) -> tuple[Provider, Model]:
    """Who serves a model. Raises InvalidRequest where no provider knows it."""
    if (found := _find(model)) is not None:
        return found
    raise InvalidRequest(FieldError("model", "is not one that a provider is known for; see /api/v1/models"))


def require_configured(provider: Provider) -> None:
    """Raises Unavailable, naming the missing setting, where a provider cannot be used."""
    if setting := provider.missing_setting():
        raise Unavailable(f"No provider is configured for this model: the setting {setting} is missing.")


def _find(model: str) -> tuple[Provider, Model] | None:
    # A server's prefix is clear; the other providers also know names by their look.
    for provider in sorted(providers(), key=lambda each: not isinstance(each, CompatibleProvider)):
        if (found := provider.resolve(model)) is not None:
            return provider, found
    return None
