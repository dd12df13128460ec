"""How a stream ends: the terminal event and what the ledger keeps of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.errors import ErrorType
from streaming.events import EventType, FinishReason, encode, usd
from streaming.pricing import Prices, Usage, cost


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a stream ends: with ``done`` and a finish reason, or with ``error``."""

    finish_reason: str = ""
    error_type: ErrorType | None = None
    error: str = ""
    retryable: bool = False

    @property
    def event_type(self) -> EventType:
        return EventType.DONE if self.error_type is None else EventType.ERROR

    @property
    def status(self) -> str:
        """The stream's status from now on."""
        if self.error_type is not None:
            return "error"
        return "cancelled" if self.finish_reason == FinishReason.CANCELLED else "done"


CANCELLED = Ending(finish_reason=FinishReason.CANCELLED)
INTERRUPTED = Ending(
    error_type=ErrorType.INTERRUPTED,
    error="The server was interrupted while it was writing this answer. You can ask again.",
    retryable=True,
)
TIMED_OUT = Ending(error_type=ErrorType.TIMEOUT, error="This answer took longer than the time allowed.", retryable=True)
NOT_BEGUN = Ending(
    error_type=ErrorType.TIMEOUT,
    error="The server was too busy to begin this answer. You can ask again.",
    retryable=True,
)
FAILED = Ending(
    error_type=ErrorType.INTERNAL, error="Something went wrong on our side. You can ask again.", retryable=True
)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is known of a stream at its end. Times are in milliseconds since it was created.

    ``reported`` says that the usage is the provider's own; otherwise it is our count.
    """

    ending: Ending
    usage: Usage
    reported: bool
    prices: Prices | None
    latency_ms: int
    first_token_ms: int | None

    @property
    def cost_state(self) -> str:
        if self.prices is None:
            return "unknown"
        return "provider" if self.reported else "estimated"

    @property
    def total_pico_usd(self) -> int | None:
        return None if self.prices is None else cost(self.usage, self.prices)

    @property
    def data(self) -> str:
        """The terminal event's data."""
        ending = self.ending
        payload: dict[str, object] = {
            "total_tokens": self.usage.total_tokens,
            "total_cost": usd(self.total_pico_usd),
            "latency_ms": self.latency_ms,
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "cost_state": self.cost_state,
        }
        if ending.error_type is None:
            payload["finish_reason"] = ending.finish_reason
        else:
            payload = {
                "error": ending.error,
                "error_type": ending.error_type.value,
                "retryable": ending.retryable,
                **payload,
            }
        return encode(payload)
