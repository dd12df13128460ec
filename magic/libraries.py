"""The few files of npm packages that the page uses, served as static files from ``node_modules``.

Nothing else of these packages is exposed. Where they are not installed, the page does without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage
from django.templatetags.static import static

FILES = {
    "magic/vendor/smd.js": "streaming-markdown/smd.min.js",
    "magic/vendor/highlight.js": "@highlightjs/cdn-assets/es/highlight.min.js",
    "magic/vendor/inter.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
}
"""By the name among the static files."""


def url_of(name: str) -> str:
    """The URL of one of ``FILES``; empty where it is not installed."""
    return static(name) if (_folder() / FILES[name]).is_file() else ""


class LibraryFinder(BaseFinder):
    """Finds ``FILES``, for Django's and the server's static files."""

    def __init__(self, app_names: Iterable[str] | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.storages = {"": _Packages(location=_folder())}

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = str(_folder() / FILES[path]) if path in FILES and (_folder() / FILES[path]).is_file() else None
        if find_all:
            return [] if found is None else [found]
        return found or []

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, FileSystemStorage]]:
        for name in FILES:
            if self.find(name):
                yield name, self.storages[""]


class _Packages(FileSystemStorage):
    def path(self, name: str) -> str:
        return str(_folder() / FILES[name])


def _folder() -> Path:
    return Path(settings.BASE_DIR) / "node_modules"
