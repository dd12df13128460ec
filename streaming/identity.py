"""Identity: who a request acts for.

A session is the signed cookie that ``anon_session`` makes, or a Django login. An API key wins over both; each
key is an issuer of its own, with any ``user_id`` in it. So is open access: ``user_id`` is taken as given.
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

from streaming import keys
from streaming.adoption import Adoption, is_due
from streaming.claims import Owner
from streaming.conf import allowed_origins, settings
from streaming.errors import FieldError, IdentityRequired, InvalidRequest, NotAllowed
from streaming.keys import Credential
from streaming.models import Scope

COOKIE = "magic_identity"
COOKIE_SECONDS = 365 * 24 * 3600
SALT = "streaming.identity"

LOGIN_APPS = ("django.contrib.auth", "django.contrib.sessions")
"""Without these a project has no logins, and a session cookie is somebody else's."""

SESSION, OPEN = "session", "open"
ANONYMOUS = "anon_"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a request proves of itself.

    ``user_id`` is None with an API key and with open access: the request has to name it. ``scopes`` is None
    where nothing is barred. ``credential`` is what may be withdrawn, and ``adoption`` what is to be done first.
    """

    issuer: str
    user_id: str | None
    scopes: frozenset[str] | None = None
    credential: Credential | None = None
    adoption: Adoption | None = None


def needs_database(request: HttpRequest) -> bool:
    """Whether ``identify`` has to ask the database: for an API key, or where there may be a login."""
    return "Authorization" in request.headers or django_settings.SESSION_COOKIE_NAME in request.COOKIES


def identify(request: HttpRequest) -> Identity | None:
    """The request's identity; None where it has none and needs one.

    Raises IdentityRequired for an ``Authorization`` header that is no usable API key, whatever cookies there are.
    """
    if "Authorization" in request.headers:
        return _of_key(request.headers["Authorization"])
    anonymous_id = anonymous(request)
    if user_id := _login(request):
        return _of_login(user_id, anonymous_id, request.session.session_key)
    if anonymous_id:
        return Identity(SESSION, anonymous_id)
    return Identity(OPEN, None) if settings.STREAM_OPEN_ACCESS else None


def owner(identity: Identity | None, user_id: str | None, scope: Scope) -> Owner:
    """Whose streams a request means. Raises IdentityRequired, or NotAllowed for somebody else's, or out of scope."""
    if identity is None:
        raise IdentityRequired("Open a session with POST /api/v1/anon_session first.")
    if identity.scopes is not None and scope not in identity.scopes:
        raise NotAllowed(f"This API key lacks the scope {scope.value}.")
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
    """Raises NotAllowed where a browser says that another site made this request, one that CORS does not allow.

    With a session the browser has to say that our own site made it; a client that is no browser sends
    neither header and passes.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    same_origin = site == "same-origin" or (origin is not None and _is_ours(origin, request))
    foreign = site == "cross-site" or (origin is not None and not _is_ours(origin, request))
    by_session = identity is not None and identity.issuer == SESSION
    unproven = by_session and (site or origin) and not same_origin
    allowed = not by_session and origin in allowed_origins()
    if (foreign and not allowed) or unproven:
        raise NotAllowed("A request from another site starts nothing.")


def refuse_other_origins(request: HttpRequest) -> None:
    """As ``refuse_foreign_sites`` with a session, for what makes one: a site that CORS allows gets none."""
    refuse_foreign_sites(request, Identity(SESSION, None))


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


def _of_key(authorization: str) -> Identity:
    scheme, _, text = authorization.partition(" ")
    key = keys.find(text.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise IdentityRequired("This API key is not valid.")
    return Identity(f"key:{key.pk}", None, frozenset(key.scopes.split()), Credential(key=key.pk))


def _of_login(user_id: str, anonymous_id: str | None, session_key: str | None) -> Identity:
    adoption = Adoption(Owner(SESSION, anonymous_id), Owner(SESSION, user_id)) if anonymous_id else None
    due = adoption if adoption is not None and is_due(adoption) else None
    return Identity(SESSION, user_id, credential=Credential(session=session_key), adoption=due)


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
