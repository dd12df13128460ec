"""The app's settings: names, types, defaults.

A project overrides any of them by setting the same name in its Django settings; nothing here
is read before it is used, so tests and projects may change a setting at any time.
"""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings

INLINE, WORKERS = "inline", "workers"
"""What ``STREAM_PRODUCERS`` may be."""


class StreamSettings:
    """Durations are in seconds, sizes in bytes, unless the name says otherwise."""

    STREAM_OPEN_ACCESS: bool = False
    """Take ``user_id`` as given from requests without an identity. Loopback only."""

    STREAM_DEFAULT_MODEL: str = ""
    """The model of a start that names none; empty: the first configured provider's, else ``demo``."""

    STREAM_HEARTBEAT_SECONDS: float = 10.0
    """A live stream without another event for so long gets a heartbeat event."""

    STREAM_LEASE_SECONDS: float = 12.0
    """A producer process that has not renewed its lease for so long is dead."""

    STREAM_SWEEP_SECONDS: float = 1.0
    """How often each process looks for streams whose producer is dead."""

    STREAM_SEAL_SECONDS: float = 60.0
    """So long after its end a stream's events are packed: a twentieth of the room, read just as before. 0: at once."""

    STREAM_MAX_SECONDS: float = 600.0
    """A stream's own time limit; beyond it the stream ends with ``error``, type ``timeout``."""

    STREAM_MAX_BYTES: int = 4 * 1024 * 1024
    """UTF-8 bytes of answer after which a stream ends with ``done``, reason ``length``."""

    STREAM_PROVIDER_CONNECT_SECONDS: float = 5.0
    """Time to connect to a provider."""

    STREAM_PROVIDER_TIMEOUT_SECONDS: float = 60.0
    """Time without a byte from a provider."""

    STREAM_CONNECTION_SECONDS: float = 300.0
    """A reader's connection is closed cleanly after so long; the client resumes."""

    STREAM_CONNECTION_BYTES: int = 1024 * 1024
    """A reader's connection is closed cleanly after so many bytes; the client resumes."""

    STREAM_DRAIN_SECONDS: float = 25.0
    """How long SIGTERM lets live streams finish."""

    STREAM_MAX_MESSAGE_CHARS: int = 32_000
    """The longest ``message`` and the longest ``system``, in characters."""

    STREAM_MAX_STREAMS: int = 1000
    """Streams that one process produces at once; a start beyond it is refused with 503, or waits for a worker."""

    STREAM_PRODUCERS: str = "inline"
    """Who produces: ``inline``, the process that took the start; ``workers``, those of ``manage.py streamworker``."""

    STREAM_MAX_QUEUED: int = 1000
    """Starts that wait for a worker; one beyond it is refused with 503."""

    STREAM_QUEUE_SECONDS: float = 60.0
    """A start that no worker took for so long ends with ``error``, type ``timeout``; nobody was asked."""

    STREAM_QUOTA_MESSAGES_PER_HOUR: int = 20
    """Streams that an anonymous identity may start in any hour; 0: no limit."""

    STREAM_QUOTA_MESSAGES_PER_HOUR_PER_ADDRESS: int = 200
    """Streams that all anonymous identities of one address may start in any hour; 0: no limit.

    An IPv6 address stands for its /64.
    """

    STREAM_ANONYMOUS_PER_ADDRESS: int = 1
    """As many anonymous identities' worth of budget have all those of one address; 0: no limit.

    More than 1 where many people share an address.
    """

    STREAM_TRUSTED_PROXIES: int = 0
    """Proxies in front of the server that each add to ``X-Forwarded-For``; 0: the header is not looked at."""

    STREAM_MAX_CONCURRENT_PER_USER: int = 5
    """Live streams of one owner; 0: no limit."""

    STREAM_MAX_CONNECTIONS_PER_USER: int = 20
    """Open reader connections of one owner to one process; 0: no limit."""

    STREAM_BUDGET_USD_PER_DAY: Decimal = Decimal(0)
    """What one owner's streams may cost in a day (UTC); 0: no limit."""

    STREAM_BUDGET_USD_PER_DAY_TOTAL: Decimal = Decimal(0)
    """What all streams together may cost in a day (UTC); 0: no limit."""

    STREAM_CONTEXT_TOKENS: int = 32_000
    """The context window of a model that tells none, in tokens; the oldest turns that do not fit are left out."""

    STREAM_RETENTION_DAYS: int = 0
    """What ``manage.py prune_streams`` empties: streams that ended so many days ago; 0: it keeps all."""

    STREAM_EVENT_LOG: dict[str, Any] = {"BACKEND": "streaming.eventlog.database.DatabaseEventLog"}  # noqa: RUF012
    """The event log: ``{"BACKEND": dotted path, "OPTIONS": {...}}``."""

    STREAM_PROVIDERS: tuple[str, ...] = (
        "streaming.providers.openai.OpenAIProvider",
        "streaming.providers.anthropic.AnthropicProvider",
        "streaming.providers.demo.DemoProvider",
    )
    """Dotted paths of the providers, in the order in which the default model is chosen."""

    DEMO_TOKENS_PER_SECOND: float = 40.0
    """The speed of the ``demo`` provider."""

    OPENAI_API_KEY: str = ""
    """Key of the OpenAI provider; empty: not configured."""

    OPENAI_BASE_URL: str = "https://api.openai.com/v1"
    """Root of an OpenAI-compatible API, up to and including its version."""

    OPENAI_MODELS: str = ""
    """Further model names, comma-separated, that ``OPENAI_BASE_URL`` serves."""

    ANTHROPIC_API_KEY: str = ""
    """Key of the Anthropic provider; empty: not configured."""

    ANTHROPIC_BASE_URL: str = "https://api.anthropic.com"
    """Root of Anthropic's API, without its version."""

    STREAM_OPENAI_COMPATIBLE: str = ""
    """Further OpenAI-compatible servers, ``name=base_url,name=base_url``; their models are ``name/model``.

    ``NAME_API_KEY`` and ``NAME_MODELS`` (comma-separated) are optional, and read by ``own_setting``.
    """

    STREAM_METRICS_DIR: str = ""
    """Where the processes of one machine share their metrics; empty: a folder of the system's for temporary files."""

    STREAM_METRICS_ALLOW: str = "127.0.0.0/8,::1/128"
    """Who may read ``/metrics``: networks, comma-separated. What came through a proxy never is."""

    if not TYPE_CHECKING:

        def __getattribute__(self, name: str) -> Any:
            default = object.__getattribute__(self, name)
            return getattr(django_settings, name, default) if name.isupper() else default


DEFAULTS: dict[str, Any] = {name: value for name, value in vars(StreamSettings).items() if name.isupper()}
"""Every setting's default by name."""

settings = StreamSettings()


def own_setting(name: str) -> str:
    """A setting whose name is an installation's own: of the Django settings, else of the environment, else empty."""
    return str(getattr(django_settings, name, None) or os.environ.get(name, ""))


def allowed_origins() -> tuple[str, ...]:
    """The other sites whose pages may use the API: ``CORS_ALLOWED_ORIGINS``, as django-cors-headers calls it."""
    return tuple(getattr(django_settings, "CORS_ALLOWED_ORIGINS", ()))
