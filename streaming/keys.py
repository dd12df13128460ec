"""API keys, and the other credentials that may end while a reader is open. Synchronous."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module

from django.conf import settings as django_settings
from django.db.models import Q
from django.utils import timezone

from streaming.models import ApiKey, Scope

PLAIN = re.compile(r"mgk_[A-Za-z0-9_-]{43}", re.ASCII)
SHOWN_CHARS = 10
"""Of a key, as its prefix: enough to know it again, far too little to guess the rest."""

NOTE_SECONDS = 60
"""How old ``last_used_at`` may be of a key in use."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a reader was let in by, where that may be withdrawn: an API key, or the session of a login."""

    key: int | None = None
    session: str | None = None


def create(name: str, scopes: Iterable[Scope], expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    """A new key, and its text, which nobody can tell again."""
    key = ApiKey(name=name, scopes=" ".join(scopes), expires_at=expires_at)
    text = issue(key)
    key.save(force_insert=True)
    return key, text


def issue(key: ApiKey) -> str:
    """Give a key that is not saved yet its text; answers it."""
    text = f"mgk_{secrets.token_urlsafe(32)}"
    key.prefix, key.hash, key.created_at = text[:SHOWN_CHARS], _hash(text), timezone.now()
    return text


def find(text: str) -> ApiKey | None:
    """The usable key of this text."""
    return ApiKey.objects.usable().filter(hash=_hash(text)).first() if PLAIN.fullmatch(text) else None


def revoke(keys: Iterable[int]) -> int:
    """End keys, at once and for good; answers how many were not revoked before."""
    return ApiKey.objects.filter(pk__in=keys, revoked_at__isnull=True).update(revoked_at=timezone.now())


def note_uses(keys: list[int]) -> list[None]:
    """Write that keys were used just now, unless that was written within the minute."""
    now = timezone.now()
    old = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - timedelta(seconds=NOTE_SECONDS))
    ApiKey.objects.filter(old, pk__in=keys).update(last_used_at=now)
    return [None] * len(keys)


def still_good(credentials: Collection[Credential]) -> set[Credential]:
    """Those that have not been withdrawn. One query for all keys, and one for all sessions."""
    keys = [each.key for each in credentials if each.key is not None]
    sessions = [each.session for each in credentials if each.session is not None]
    good = {Credential(key=key) for key in ApiKey.objects.usable().filter(pk__in=keys).values_list("pk", flat=True)}
    return good | {Credential(session=session) for session in _open_sessions(sessions)}


def _open_sessions(sessions: list[str]) -> Collection[str]:
    """The sessions that have not ended, as far as the engine of sessions has a table to ask."""
    if not sessions:
        return sessions
    store = import_module(django_settings.SESSION_ENGINE).SessionStore
    if not hasattr(store, "get_model_class"):
        return sessions
    rows = store.get_model_class().objects.filter(session_key__in=sessions, expire_date__gt=timezone.now())
    return set(rows.values_list("session_key", flat=True))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
