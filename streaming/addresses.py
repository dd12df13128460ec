"""The address that a request comes from, for what anonymous identities of one address share."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from streaming.conf import settings

SALT = "streaming.addresses"
HASH_CHARS = 32
SITE_BITS = 64
"""Of an IPv6 address: the rest is anyone's to choose who has the site."""


def hashed_address(request: HttpRequest) -> str:
    """A keyed hash of the client's address. What has no address, such as a Unix socket, is one client."""
    return salted_hmac(SALT, client_address(request), algorithm="sha256").hexdigest()[:HASH_CHARS]


def client_address(request: HttpRequest) -> str:
    """The client's IPv4 address or IPv6 network, as text; empty where it is not known.

    With ``STREAM_TRUSTED_PROXIES`` it is the entry of ``X-Forwarded-For`` that the outermost of them made. What
    stands before it in the header anyone could have sent.
    """
    peer = _network(str(request.META.get("REMOTE_ADDR", "")))
    hops = settings.STREAM_TRUSTED_PROXIES
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    if not 0 < hops <= len(forwarded):
        return peer
    return _network(forwarded[-hops]) or peer


def _network(text: str) -> str:
    address = _parse(text.strip())
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((address.packed, SITE_BITS), strict=False))
    return "" if address is None else str(address)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: alone, or with a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ip_address(text)
    except ValueError:
        return None
