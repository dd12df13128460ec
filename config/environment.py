"""The environment and ``.env``, read so that a mistake is told by the name of its setting."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def _switch(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError
    return text.lower() in TRUE


PARSERS: dict[type, tuple[Callable[[str], Any], str]] = {
    bool: (_switch, "1 or 0"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    Decimal: (Decimal, "a number"),
}
"""How a setting is read, by the type of its default, and the rule."""

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Environment(environ.Env):  # type: ignore[misc]  # untyped
    """Takes what is left empty, but a text, as not set. Raises ImproperlyConfigured for what cannot be read.

    A text is what stands there: one that begins with ``$`` is not another variable's name, but may be a secret.
    """

    def get_value(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, **options: Any) -> Any:
        parse, rule = PARSERS.get(cast or type(default), (None, ""))
        if parse is None:
            if var in self.ENVIRON:
                return self.parse_value(self.ENVIRON[var], cast)
            return super().get_value(var, cast=cast, default=default, **options)
        if not (given := self.ENVIRON.get(var, "").strip()):
            return default
        try:
            return parse(given)
        except (ValueError, ArithmeticError):
            raise ImproperlyConfigured(f"{var} is {given!r}; it must be {rule}.") from None

    def level(self, var: str, default: str = "") -> str:
        """A level of log lines, in letters of any case."""
        given = self.ENVIRON.get(var, "").strip() or default
        if given.upper() not in LEVELS:
            raise ImproperlyConfigured(f"{var} is {given!r}; it must be one of {', '.join(LEVELS)}.")
        return given.upper()

    def db_url(self, var: str = "DATABASE_URL", default: Any = environ.Env.NOTSET, engine: Any = None) -> Any:
        """The value is not shown: it may hold a password."""
        url = self.ENVIRON.get(var, "").strip() or default
        if url.partition(":")[0] not in self.DB_SCHEMES:
            raise ImproperlyConfigured(f"{var} must be sqlite:////absolute/path or postgres://user:password@host/name.")
        return self.db_url_config(url, engine=engine)
