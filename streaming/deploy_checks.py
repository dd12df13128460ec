"""What ``manage.py check --deploy`` says of settings that work, and are unsafe where strangers come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import Error, connection

from streaming.addresses import metrics_networks
from streaming.checks import LOOPBACK
from streaming.conf import settings
from streaming.providers import registry
from streaming.providers.servers import server_problems, servers

PATIENT_SECONDS = 30
"""Browsers give a silent connection up after so long, and proxies after a minute."""


@register("streaming", deploy=True)
def strangers_are_expected(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What only a machine of one's own may have."""
    return list(_access())


@register("streaming", deploy=True)
def money_is_bounded(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A provider that is paid, and nothing that bounds what it is paid."""
    if settings.STREAM_BUDGET_USD_PER_DAY_TOTAL > 0 or server_problems():
        return []
    paid = [provider.name for provider in registry.configured() if provider.name != "demo"]
    if not paid:
        return []
    return [
        Warning(
            f"{', '.join(paid)} can be asked without a budget: STREAM_BUDGET_USD_PER_DAY_TOTAL is 0.",
            hint="Set what all answers together may cost in a day.",
            id="streaming.W014",
        )
    ]


@register("streaming", deploy=True)
def keys_travel_encrypted(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A key sent over plain HTTP to another machine can be read on the way."""
    urls = {"OPENAI_BASE_URL": settings.OPENAI_BASE_URL if settings.OPENAI_API_KEY else ""}
    urls["ANTHROPIC_BASE_URL"] = settings.ANTHROPIC_BASE_URL if settings.ANTHROPIC_API_KEY else ""
    if not server_problems():
        urls |= {f"STREAM_OPENAI_COMPATIBLE ({server.name})": server.base_url for server in servers()}
    return [
        Warning(f"{name} is plain HTTP to another machine; prompts and key can be read.", id="streaming.W015")
        for name, url in urls.items()
        if urlsplit(url).scheme == "http" and urlsplit(url).hostname not in LOOPBACK
    ]


@register(Tags.database, deploy=True)
def postgresql_is_durable(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """With these off PostgreSQL forgets commits, so readers saw what is gone."""
    if connection.vendor != "postgresql" or not databases or "default" not in databases:
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, setting FROM pg_settings WHERE name IN ('synchronous_commit', 'fsync')")
            off = sorted(name for name, setting in cursor.fetchall() if setting == "off")
    except Error as error:
        return [Warning(f"PostgreSQL does not answer ({type(error).__name__}).", id="streaming.W017")]
    return [
        Warning(f"PostgreSQL's {name} is off: at a crash it forgets what readers have seen.", id="streaming.W016")
        for name in off
    ]


def _access() -> Iterator[CheckMessage]:
    beyond = sorted(set(django_settings.ALLOWED_HOSTS) - LOOPBACK)
    if settings.STREAM_OPEN_ACCESS:
        yield Warning("STREAM_OPEN_ACCESS is on: anyone may be anyone.", id="streaming.W010")
    if "*" in beyond:
        yield Warning("ALLOWED_HOSTS takes any host; name yours.", id="streaming.W011")
    if beyond and not settings.STREAM_TRUSTED_PROXIES:
        yield Warning(
            "STREAM_TRUSTED_PROXIES is 0: behind a proxy all anonymous visitors share the quota of one address.",
            hint="Say how many proxies in a row add to X-Forwarded-For; without a proxy, silence this check.",
            id="streaming.W012",
        )
    if settings.STREAM_HEARTBEAT_SECONDS >= PATIENT_SECONDS:
        yield Warning(
            f"STREAM_HEARTBEAT_SECONDS is {settings.STREAM_HEARTBEAT_SECONDS:g}: clients take a stream for stalled"
            f" after {PATIENT_SECONDS} s.",
            id="streaming.W013",
        )
    try:
        open_to_all = [str(network) for network in metrics_networks() if network.prefixlen == 0]
    except ValueError:
        return  # E008 tells
    if open_to_all:
        yield Warning(f"STREAM_METRICS_ALLOW lets everyone read: {', '.join(open_to_all)}.", id="streaming.W018")
