"""The providers of this installation, and which of them serves a model."""

from __future__ import annotations

import functools

from django.utils.module_loading import import_string

from streaming.conf import settings
from streaming.errors import FieldError, InvalidRequest, Unavailable
from streaming.providers.base import Model, Provider


@functools.cache
def providers() -> tuple[Provider, ...]:
    """One object of each provider in ``STREAM_PROVIDERS``, in that order."""
    return tuple(import_string(path)() for path in settings.STREAM_PROVIDERS)


def configured() -> list[Provider]:
    """The providers that can be used now."""
    return [provider for provider in providers() if provider.missing_setting() is None]


def default_model() -> str:
    """The model of a request that names none."""
    return settings.STREAM_DEFAULT_MODEL or configured()[0].models()[0].id


def knows(model: str) -> bool:
    """Whether a provider, configured or not, is known for this model."""
    return any(provider.resolve(model) is not None for provider in providers())


def find(model: str) -> tuple[Provider, Model]:
    """Who serves a model. Raises InvalidRequest where no provider knows it."""
    for provider in providers():
        if (found := provider.resolve(model)) is not None:
            return provider, found
    raise InvalidRequest(FieldError("model", "is not one that a provider is known for; see /api/v1/models"))


def require_configured(provider: Provider) -> None:
    """Raises Unavailable, naming the missing setting, where a provider cannot be used."""
    if setting := provider.missing_setting():
        raise Unavailable(f"No provider is configured for this model: the setting {setting} is missing.")
