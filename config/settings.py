"""Django settings. Everything that differs between installations comes from the environment or ``.env``."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.utils import get_random_secret_key

from config.environment import Environment
from streaming.conf import DEFAULTS

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()
if "PYTEST_VERSION" not in os.environ:  # a test never asks the provider whose key a developer has in .env
    Environment.read_env(BASE_DIR / ".env")

# Without a key of its own an installation works, but its sessions end with the process: see the checks.
SECRET_KEY: str = env.str("SECRET_KEY", default="") or f"ephemeral-{get_random_secret_key()}"
DEBUG: bool = env.bool("DEBUG", default=False)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = ("authorization", "content-type", "last-event-id", "x-request-id")
CORS_EXPOSE_HEADERS = ("X-Stream-Id", "X-Request-Id", "Retry-After")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "streaming",
    "magic",
    "ninja",
]

# Not in the way of /api/v1/stream, which streaming.asgi serves with a chain of its own.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "streaming.middleware.request_id",
    "streaming.middleware.Cors",
    "streaming.middleware.admin_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEST_RUNNER = "config.testing.PytestRunner"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

SQLITE_OPTIONS: dict[str, Any] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 5,
    # FULL, not NORMAL: a committed event must survive a power cut, not just a killed process.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'magic.sqlite3'}"),
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {**SQLITE_OPTIONS, **DATABASES["default"].get("OPTIONS", {})}

POSTGRESQL_OPTIONS: dict[str, Any] = {
    # A connection whose other end is gone without a word is given up in seconds, not in a quarter of an hour.
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"]["OPTIONS"] = {**POSTGRESQL_OPTIONS, **DATABASES["default"].get("OPTIONS", {})}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "magic.libraries.LibraryFinder",
]
SERVESTATIC_USE_FINDERS = True

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("COOKIES_SECURE", default=False)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "streaming.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "streaming": {"handlers": ["stderr"], "level": env.level("LOG_LEVEL", default="INFO"), "propagate": False},
    },
}

REDIS_URL: str = env.str("REDIS_URL", default="")
REDIS_EVENT_LOG = {"BACKEND": "streaming.eventlog.redis.RedisEventLog", "OPTIONS": {"url": REDIS_URL}}
STREAM_EVENT_LOG: dict[str, Any] = REDIS_EVENT_LOG if REDIS_URL else DEFAULTS["STREAM_EVENT_LOG"]
STREAM_PROVIDERS = DEFAULTS["STREAM_PROVIDERS"]
# Every other setting of the app, by its own name, with the type of its default.
globals().update(
    {
        name: env.get_value(name, cast=type(default), default=default)
        for name, default in DEFAULTS.items()
        if isinstance(default, (bool, int, float, str, Decimal))
    }
)
