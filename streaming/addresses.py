"""The address that a request comes from: what anonymous identities of one share, and who may read the metrics."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from streaming.conf import settings

SALT = "streaming.addresses"
HASH_CHARS = 32
FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
"""What proxies add to a request."""
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


def may_read_metrics(request: HttpRequest) -> bool:
    """Whether the request comes from a network of ``STREAM_METRICS_ALLOW``, itself and not through a proxy.

    A proxy on this machine has an address of this machine, whoever asks it.
    """
    if any(header in request.headers for header in FORWARDED):
        return False
    address = _parse(str(request.META.get("REMOTE_ADDR", "")))
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and any(address in network for network in metrics_networks())


def metrics_networks() -> list[IPv4Network | IPv6Network]:
    """``STREAM_METRICS_ALLOW``. Raises ValueError where it is not a list of networks."""
    names = (name.strip() for name in settings.STREAM_METRICS_ALLOW.split(","))
    return [ip_network(name, strict=False) for name in names if name]


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
