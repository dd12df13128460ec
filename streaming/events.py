"""Events: the records of a stream's log. Pure values."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum
from typing import Any

import msgspec

LOG_FORMAT = 1
"""Version of the stored form of an event. A log of any released version replays byte for byte."""


class EventType(IntEnum):
    """An event's type, as stored. Numbers are never reused."""

    MESSAGE_CHUNK = 1
    HEARTBEAT = 2
    DONE = 3
    ERROR = 4

    @property
    def wire_name(self) -> str:
        """The name on the wire, e.g. ``message_chunk``."""
        return self.name.lower()

    @property
    def is_terminal(self) -> bool:
        """True of ``done`` and ``error``, after which nothing follows."""
        return self >= EventType.DONE


class Event(msgspec.Struct, frozen=True):
    """One record of a log.

    ``data`` is the exact text that goes onto the wire: compact JSON, ASCII only, one line.
    ``elapsed_ms`` is the time since the stream was created; it is kept but not sent.
    """

    event_id: int
    type: EventType
    data: str
    elapsed_ms: int = 0


class FinishReason:
    """Why an answer ended; ``finish_reason`` of ``done``."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    CANCELLED = "cancelled"


FINISH_REASONS = frozenset({"stop", "length", "content_filter", "cancelled"})


def encode(payload: dict[str, Any] | Decimal | None) -> str:
    """``payload`` as compact ASCII JSON. Decimals become JSON numbers; NaN is refused (ValueError)."""
    return json.dumps(payload, separators=(",", ":"), allow_nan=False, default=_number)


quote = json.JSONEncoder().encode
"""A string as ASCII JSON, as ``encode`` writes it."""


def chunk_data(content: str, tokens: int, cost_usd: str) -> str:
    """The data of a ``message_chunk``: what ``encode`` would make of it, sooner. ``cost_usd`` is JSON."""
    return f'{{"content":{quote(content)},"tokens":{tokens},"cost_usd":{cost_usd}}}'


def usd(pico: int | None) -> Decimal | None:
    """Pico-dollars (10⁻¹² USD) as dollars; None stays None."""
    return None if pico is None else Decimal(pico).scaleb(-12)


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")
