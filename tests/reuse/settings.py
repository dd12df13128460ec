"""The least that a project needs: no login, no sessions, no static files."""

from __future__ import annotations

import os

SECRET_KEY = "reuse"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.reuse.urls"
INSTALLED_APPS = ["streaming"]
MIDDLEWARE = ["tests.reuse.middleware.stamp"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["REUSE_DATABASE"],
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }
}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]  # /llm/api/docs is drawn with it
USE_TZ = True

STREAM_OPEN_ACCESS = True
STREAM_PROVIDERS = ("streaming.providers.demo.DemoProvider",)
STREAM_MAX_CONCURRENT_PER_USER = STREAM_MAX_CONNECTIONS_PER_USER = 0
