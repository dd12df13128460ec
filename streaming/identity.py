"""Identity: who a request acts for.

A session is the signed cookie that ``anon_session`` makes, or a Django login. Open access is an issuer of
its own: ``user_id`` is taken as given.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from importlib import import_module
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user
from django.core import signing
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from streaming.claims import Owner
from streaming.conf import settings
from streaming.errors import FieldError, IdentityRequired, InvalidRequest, NotAllowed

COOKIE = "magic_identity"
COOKIE_SECONDS = 365 * 24 * 3600
SALT = "streaming.identity"

LOGIN_APPS = ("django.contrib.auth", "django.contrib.sessions")
"""Without these a project has no logins, and a session cookie is somebody else's."""

SESSION, OPEN = "session", "open"
ANONYMOUS = "anon_"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a request proves of itself. ``user_id`` is None with open access: the request has to name it."""

    issuer: str
    user_id: str | None


def identify(request: HttpRequest) -> Identity | None:
    """The request's identity; None where it has none and needs one. Reads the database only for a login.

    Raises IdentityRequired for an ``Authorization`` header, since no credential of that kind exists.
    """
    if "Authorization" in request.headers:
        raise IdentityRequired("This API key is not valid.")
    if user_id := _login(request) or anonymous(request):
        return Identity(SESSION, user_id)
    return Identity(OPEN, None) if settings.STREAM_OPEN_ACCESS else None


def owner(identity: Identity | None, user_id: str | None) -> Owner:
    """Whose streams a request means. Raises IdentityRequired, or NotAllowed for somebody else's."""
    if identity is None:
        raise IdentityRequired("Open a session with POST /api/v1/anon_session first.")
    if identity.user_id is None:
        if user_id is None:
            raise IdentityRequired("user_id is required.")
        return Owner(identity.issuer, user_id)
    if user_id not in {None, identity.user_id}:
        raise NotAllowed("This session may not act for another user_id.")
    return Owner(identity.issuer, identity.user_id)


def refuse_foreign_hosts(request: HttpRequest) -> None:
    """Raises InvalidRequest where the request came by a name that is not ours.

    Elsewhere Django's CommonMiddleware sees to it. Without it, a page under a name that was made to point
    here could act for anyone.
    """
    try:
        request.get_host()
    except DisallowedHost:
        raise InvalidRequest(FieldError("Host", "is not one of ALLOWED_HOSTS")) from None


def refuse_foreign_sites(request: HttpRequest, identity: Identity | None) -> None:
    """Raises NotAllowed where a browser says that another site made this request.

    With a session the browser has to say that our own site made it; a client that is no browser sends
    neither header and passes.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    same_origin = site == "same-origin" or (origin is not None and _is_ours(origin, request))
    foreign = site == "cross-site" or (origin is not None and not _is_ours(origin, request))
    unproven = identity is not None and identity.issuer == SESSION and (site or origin) and not same_origin
    if foreign or unproven:
        raise NotAllowed("A request from another site starts nothing.")


def new_anonymous() -> str:
    """A new anonymous ``user_id``."""
    return f"{ANONYMOUS}{secrets.token_hex(16)}"


def is_anonymous(identity: Identity | None) -> bool:
    """Whether this is one of the identities that anyone may have, as many as they like."""
    return identity is not None and identity.issuer == SESSION and str(identity.user_id).startswith(ANONYMOUS)


def remember(response: HttpResponseBase, user_id: str, *, secure: bool) -> None:
    """Put the identity into a signed cookie that scripts cannot read and other sites do not send."""
    response.set_cookie(
        COOKIE,
        signing.TimestampSigner(salt=SALT).sign(user_id),
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=secure or django_settings.SESSION_COOKIE_SECURE,
    )


def anonymous(request: HttpRequest) -> str | None:
    """The ``user_id`` of the signed cookie; None where there is none, or not one of ours."""
    try:
        return signing.TimestampSigner(salt=SALT).unsign(request.COOKIES.get(COOKIE, ""), max_age=COOKIE_SECONDS)
    except signing.BadSignature:
        return None


def _login(request: HttpRequest) -> str | None:
    key = request.COOKIES.get(django_settings.SESSION_COOKIE_NAME)
    if not key or "\0" in key:  # PostgreSQL takes no NUL, and a quoted cookie may spell one
        return None
    if not all(map(apps.is_installed, LOGIN_APPS)):
        return None
    if not hasattr(request, "session"):
        request.session = import_module(django_settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return f"user_{user.pk}" if user.is_authenticated else None


def _is_ours(origin: str, request: HttpRequest) -> bool:
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return host == request.get_host() or origin in django_settings.CSRF_TRUSTED_ORIGINS
