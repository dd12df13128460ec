"""System checks of this app; servers refuse to start where one finds an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from corsheaders.checks import check_settings
from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connection
from django.utils.module_loading import import_string

from streaming.addresses import metrics_networks
from streaming.conf import DEFAULTS, INLINE, WORKERS, allowed_origins, settings
from streaming.errors import Unavailable
from streaming.eventlog.base import EventLog
from streaming.providers import registry
from streaming.providers.servers import server_problems

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", ".localhost", "testserver"})

MAY_BE_ZERO = frozenset(
    {
        "STREAM_DRAIN_SECONDS",
        "STREAM_SEAL_SECONDS",
        "DEMO_TOKENS_PER_SECOND",
        "STREAM_QUOTA_MESSAGES_PER_HOUR",
        "STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS",
        "STREAM_ANONYMOUS_PER_ADDRESS",
        "STREAM_TRUSTED_PROXIES",
        "STREAM_MAX_CONCURRENT_PER_USER",
        "STREAM_MAX_CONNECTIONS_PER_USER",
        "STREAM_BUDGET_USD_PER_DAY",
        "STREAM_BUDGET_USD_PER_DAY_TOTAL",
        "STREAM_RETENTION_DAYS",
    }
)


@register("streaming")
def open_access_stays_at_home(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Open access lets anyone be anyone, so no other machine may reach it."""
    beyond = sorted(set(django_settings.ALLOWED_HOSTS) - LOOPBACK)
    if not settings.STREAM_OPEN_ACCESS or not beyond:
        return []
    return [
        Error(
            f"STREAM_OPEN_ACCESS is on, and ALLOWED_HOSTS goes beyond this machine: {', '.join(beyond)}.",
            hint="Turn STREAM_OPEN_ACCESS off, or name only localhost, 127.0.0.1 and [::1].",
            id="streaming.E001",
        )
    ]


@register("streaming")
def numbers_are_sensible(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Durations, sizes and counts are positive; a lease outlives a few sweeps."""
    errors: list[CheckMessage] = []
    for name, default in DEFAULTS.items():
        value = getattr(settings, name)
        if isinstance(default, bool) or not isinstance(default, (int, float, Decimal)):
            continue
        if not math.isfinite(value) or value < 0 or (value == 0 and name not in MAY_BE_ZERO):
            rule = "0 or more" if name in MAY_BE_ZERO else "more than 0"
            errors.append(Error(f"{name} is {value}; it must be {rule}.", id="streaming.E002"))
    if settings.STREAM_LEASE_SECONDS < 2 * settings.STREAM_SWEEP_SECONDS:
        errors.append(
            Error(
                "STREAM_LEASE_SECONDS must be at least twice STREAM_SWEEP_SECONDS.",
                hint="A process renews its lease when it sweeps; a shorter lease dies between two renewals.",
                id="streaming.E003",
            )
        )
    return errors


@register("streaming")
def named_servers_are_well_formed(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """``STREAM_OPENAI_COMPATIBLE`` names servers that can be asked."""
    return [Error(f"STREAM_OPENAI_COMPATIBLE: {problem}", id="streaming.E005") for problem in server_problems()]


@register("streaming")
def default_model_is_served(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Who names no model is to be served by the one that is named here."""
    name = settings.STREAM_DEFAULT_MODEL
    if not name or server_problems():
        return []
    try:
        provider, _ = registry.default()
    except Unavailable:
        hint = "Name one of /api/v1/models, or leave it empty."
        told = f"STREAM_DEFAULT_MODEL is {name!r}, and no provider knows that model."
        return [Error(told, hint=hint, id="streaming.E013")]
    if setting := provider.missing_setting():
        told = f"STREAM_DEFAULT_MODEL is {name!r}, and cannot be used: {setting} is missing."
        return [Warning(told, id="streaming.W019")]
    return []


@register("streaming")
def other_sites_are_named(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """CORS lets in origins that are named, and never with cookies: those are for our own pages."""
    if not allowed_origins():
        return []
    errors = check_settings()
    if {"null", "file://"} & set(allowed_origins()):
        hint = "Name origins such as https://app.example.com."
        errors.append(Error("CORS_ALLOWED_ORIGINS lets in what may be any page.", hint=hint, id="streaming.E006"))
    for name in ("CORS_ALLOW_CREDENTIALS", "CORS_ALLOW_ALL_ORIGINS"):
        if getattr(django_settings, name, False):
            errors.append(Error(f"{name} is on.", hint="Name origins, and give them API keys.", id="streaming.E007"))
    return errors


@register("streaming")
def metrics_readers_are_named(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """``STREAM_METRICS_ALLOW`` is a list of networks."""
    try:
        metrics_networks()
    except ValueError as error:
        return [Error(f"STREAM_METRICS_ALLOW: {error}.", hint="E.g. 127.0.0.0/8,10.0.0.0/8.", id="streaming.E008")]
    return []


@register("streaming")
def atomic_requests_are_off(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A transaction around a request does not work with asynchronous views."""
    if not connection.settings_dict.get("ATOMIC_REQUESTS"):
        return []
    return [Error("ATOMIC_REQUESTS does not work with asynchronous views; turn it off.", id="streaming.E004")]


@register("streaming")
def secret_key_is_kept(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A key made up at start ends all sessions with the process."""
    if not django_settings.SECRET_KEY.startswith("ephemeral-"):
        return []
    return [
        Warning(
            "SECRET_KEY is not set; a new one is made up at every start, which ends all sessions.",
            hint="Set SECRET_KEY in the environment or in .env; `make run` does.",
            id="streaming.W001",
        )
    ]


@register("streaming")
def event_log_is_sound(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What the backend itself has to say of its options."""
    configured = settings.STREAM_EVENT_LOG
    log: type[EventLog] = import_string(configured["BACKEND"])
    return log.check(**configured.get("OPTIONS", {}))


@register("streaming")
def producers_are_known(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """``STREAM_PRODUCERS`` is one of two words, and workers get their starts through an event log that can do that."""
    if settings.STREAM_PRODUCERS not in {INLINE, WORKERS}:
        told = f"STREAM_PRODUCERS is {settings.STREAM_PRODUCERS!r}; it must be inline or workers."
        return [Error(told, id="streaming.E011")]
    log: type[EventLog] = import_string(settings.STREAM_EVENT_LOG["BACKEND"])
    if settings.STREAM_PRODUCERS == WORKERS and not log.hands_over:
        hint = "Set REDIS_URL, or STREAM_PRODUCERS=inline."
        told = "STREAM_PRODUCERS is workers, and they get their starts through Redis."
        return [Error(told, hint=hint, id="streaming.E012")]
    return []


@register(Tags.database)
def sqlite_is_durable(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Without these options SQLite forgets the last commits at a power cut, or writers fail under load."""
    if connection.vendor != "sqlite" or not databases or "default" not in databases:
        return []
    options = connection.settings_dict.get("OPTIONS", {})
    init = options.get("init_command", "").replace(" ", "").lower()
    warnings: list[CheckMessage] = []
    if "synchronous=full" not in init and "synchronous=extra" not in init:
        hint = 'Put "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" into OPTIONS["init_command"].'
        warnings.append(Warning("SQLite's synchronous mode is not set to FULL.", hint=hint, id="streaming.W002"))
    if options.get("transaction_mode", "").upper() != "IMMEDIATE":
        hint = 'Set OPTIONS["transaction_mode"] = "IMMEDIATE".'
        warnings.append(Warning("SQLite's transactions do not begin IMMEDIATE.", hint=hint, id="streaming.W003"))
    return warnings
