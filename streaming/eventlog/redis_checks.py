"""System checks of the Redis log: does this Redis keep what is told to it?"""

from __future__ import annotations

import re
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

PATIENCE_SECONDS = 2
OLDEST = 7


def check(url: str) -> list[CheckMessage]:
    """Ask a Redis about itself. That it is out of reach is a warning: servers start, and wait for it."""
    try:
        with Redis.from_url(
            url,
            protocol=2,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
        ) as client:
            facts: dict[str, Any] = client.info("everything")
            return findings({**facts, **_configured(client)})
    except ValueError:
        hint = "redis://:password@host:6379/0, or rediss:// for TLS; percent-encode what is special in the password."
        return [Error("REDIS_URL is not the address of a Redis.", hint=hint, id="streaming.E008")]
    except (RedisError, OSError) as error:
        hint = "Servers start without it, refuse starts with 503, and wait."
        return [Warning(f"Redis is out of reach ({type(error).__name__}).", hint=hint, id="streaming.W004")]


def findings(facts: dict[str, Any]) -> list[CheckMessage]:
    """What ``INFO`` and ``CONFIG GET`` tell against a Redis."""
    found: list[CheckMessage] = []
    version = str(facts.get("redis_version", OLDEST))
    if int(re.match(r"\d+|", version)[0] or 0) < OLDEST:  # type: ignore[index]  # it always matches
        found.append(Error(f"Redis {version} is too old; it must be {OLDEST} or newer.", id="streaming.E009"))
    if facts.get("cluster_enabled"):
        hint = "Use one primary, with replicas or without."
        found.append(Error("Redis runs as a cluster, which is not supported.", hint=hint, id="streaming.E010"))
    if lost := _lost_at_power_cut(facts):
        hint = 'Set "appendonly yes" and "appendfsync always".'
        found.append(Warning(f"Redis: {lost}.", hint=hint, id="streaming.W005"))
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        hint = 'Set "maxmemory-policy noeviction".'
        found.append(Warning(f"Redis may evict live streams ({policy}).", hint=hint, id="streaming.W006"))
    return found


def _lost_at_power_cut(facts: dict[str, Any]) -> str:
    if not facts.get("aof_enabled"):
        return "the append-only file is off, so a restart forgets the streams that are open"
    policy = facts.get("appendfsync")
    if policy is None:
        return "appendfsync cannot be asked for; unless it is always, a power cut takes the last events of open streams"
    return (
        "" if policy == "always" else f"appendfsync is {policy}, so a power cut takes the last events of open streams"
    )


def _configured(client: Redis) -> dict[str, Any]:
    """Managed servers may not tell; then ``appendfsync`` is not among the answers."""
    try:
        return {str(name): value for name, value in client.config_get("appendfsync").items()}
    except ResponseError:
        return {}
