"""``STREAM_OPENAI_COMPATIBLE``: further servers, by name and address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from streaming.conf import own_setting, settings
from streaming.providers.completions import CONTINUATIONS

TAKEN_NAMES = frozenset({"openai", "anthropic", "demo"})
"""Names that mean a provider of their own."""

_NAME = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Server:
    """An OpenAI-compatible server. ``base_url`` goes up to and including the version, e.g. ``https://host/v1``."""

    name: str
    base_url: str

    @property
    def prefix(self) -> str:
        """What its models' names start with, e.g. ``groq/``."""
        return f"{self.name}/"

    @property
    def setting(self) -> str:
        """What the names of its own settings start with, e.g. ``GROQ``."""
        return self.name.upper().replace("-", "_")

    @property
    def key(self) -> str:
        """The ``NAME_API_KEY`` of the Django settings, else of the environment; empty where it needs none."""
        return own_setting(f"{self.setting}_API_KEY").strip()

    @property
    def models(self) -> list[str]:
        """The server's own names of the models in ``NAME_MODELS``, a comma-separated list."""
        return [name for name in map(str.strip, own_setting(f"{self.setting}_MODELS").split(",")) if name]

    @property
    def continuation(self) -> str:
        """``NAME_CONTINUATION``: one of CONTINUATIONS; empty: what is known of the address."""
        return own_setting(f"{self.setting}_CONTINUATION").strip()


def servers() -> list[Server]:
    """The servers of ``STREAM_OPENAI_COMPATIBLE``, in that order; entries with a problem are left out."""
    return read_servers(settings.STREAM_OPENAI_COMPATIBLE)[0]


def server_problems() -> list[str]:
    """What is wrong with ``STREAM_OPENAI_COMPATIBLE``, a sentence each. Holds no addresses: they may hold secrets."""
    return read_servers(settings.STREAM_OPENAI_COMPATIBLE)[1]


def server_prefixes() -> tuple[str, ...]:
    """What the names of their models start with."""
    return tuple(server.prefix for server in servers())


def read_servers(text: str) -> tuple[list[Server], list[str]]:
    """The servers that ``name=base_url,name=base_url`` names, and what is wrong with the other entries."""
    found: dict[str, Server] = {}
    problems: list[str] = []
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        name, equals, base_url = (part.strip() for part in entry.partition("="))
        server = Server(name, base_url)
        if not equals or not _NAME.fullmatch(name):
            problem = f"Entry {number} is not name=base_url with a name of a-z, 0-9, - and _ (at most 32 characters)."
        elif name in TAKEN_NAMES:
            problem = f"{name}: this name is taken by a provider of its own."
        elif server.setting in found:
            problem = f"{name}: this name, or one with the same {server.setting}_API_KEY, is there twice."
        elif reason := _address_problem(base_url):
            problem = f"{name}: its address {reason}."
        elif server.continuation not in CONTINUATIONS:
            problem = f"{name}: {server.setting}_CONTINUATION is neither {' nor '.join(filter(None, CONTINUATIONS))}."
        else:
            found[server.setting] = server
            continue
        problems.append(problem)
    return list(found.values()), problems


def _address_problem(base_url: str) -> str:
    """What is wrong with an address; empty where nothing is."""
    try:
        url = urlsplit(base_url)
        is_complete = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_complete = False
    if not is_complete or not base_url.isprintable() or " " in base_url:
        return "is not an http:// or https:// URL"
    if "@" in url.netloc:
        return "holds a user name or a password; a key belongs into NAME_API_KEY"
    if url.query or url.fragment:
        return "has a query or a fragment, to which no path can be added"
    return ""
