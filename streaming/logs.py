"""Structured logs: one JSON object a line. What the engine writes is in ``journal``."""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUERY = re.compile(r"\?\S*")
_KEPT_BACK = frozenset({"request", "server_time"})


def hide_queries() -> None:
    """Keep query strings, which may hold prompts, out of what the servers log."""
    logging.getLogger("uvicorn.access").addFilter(_without_query)
    logging.getLogger("daphne.server").addFilter(_without_uri)


def _without_query(record: logging.LogRecord) -> bool:
    """Of uvicorn's ``(client, method, path with query, version, status)`` the path loses its query."""
    if isinstance(record.args, tuple) and len(record.args) == 5:
        client, method, path, *rest = record.args
        record.args = (client, method, str(path).partition("?")[0], *rest)
    return True


def _without_uri(record: logging.LogRecord) -> bool:
    """Daphne describes a request with its whole address where it had to end it."""
    record.msg, record.args = _QUERY.sub("?", record.getMessage()), ()
    return True


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON.

    Of an exception it keeps the type and the places in the code, and not its message, which may quote a
    prompt or a key.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD and k not in _KEPT_BACK})
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["at"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(record.exc_info[2])[-8:]]
        return json.dumps(line, default=str)
