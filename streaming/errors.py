"""The exceptions of this app.

::

    StreamingError
    ├── Refusal                 a request is refused before a stream starts; becomes problem+json
    │   ├── InvalidRequest      400, names every bad parameter at once
    │   ├── IdentityRequired    401
    │   ├── NotAllowed          403
    │   ├── NoSuchResource      404
    │   │   ├── StreamNotFound          a stream, to this owner
    │   │   └── ConversationNotFound    a conversation, to this owner
    │   ├── MethodNotAllowed    405
    │   ├── Conflict            409, same id, different request
    │   ├── NotContinuable      409, the stream to go on with is still open, or complete
    │   ├── AheadOfLog          409, the client's copy is ahead of the log
    │   ├── StreamPruned        410
    │   ├── ConversationErased  410, a start into a conversation that was deleted
    │   ├── BodyTooLarge        413
    │   ├── UnsupportedBody     415
    │   ├── Limited             429
    │   │   ├── RateLimited     too many messages in an hour
    │   │   ├── TooManyStreams  too many live streams, or reader connections
    │   │   ├── TooManyReports  telemetry, too often
    │   │   └── BudgetExceeded  the answer may cost more than is left of a day's budget
    │   └── Unavailable         503
    ├── ProviderError           a provider failed; ends the stream with ``error``
    ├── LogGone                 a reader's place in the log is gone; its connection is closed
    └── LogFull                 the log has no room for an append; the stream ends
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar


class ErrorType(StrEnum):
    """``error_type`` of a terminal ``error`` event."""

    PROVIDER_ERROR = "provider_error"
    PROVIDER_RATE_LIMITED = "provider_rate_limited"
    PROVIDER_TIMEOUT = "provider_timeout"
    PROVIDER_AUTH = "provider_auth"
    INVALID_REQUEST = "invalid_request"
    INTERRUPTED = "interrupted"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class StreamingError(Exception):
    """Whatever this app raises on purpose."""


@dataclass(frozen=True)
class FieldError:
    """One bad parameter: its name and the rule that it broke."""

    name: str
    reason: str


class Refusal(StreamingError):
    """A request is refused before a stream starts.

    ``detail`` is a sentence for the client; ``extra`` are further members of the problem document.
    """

    status: ClassVar[int]
    title: ClassVar[str]
    error_type: ClassVar[str]

    def __init__(self, detail: str, *, retry_after: int | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.extra = extra


class InvalidRequest(Refusal):
    """400: every bad or missing parameter of the request, all of them at once."""

    status = 400
    title = "Bad request"
    error_type = "invalid_request"

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.name}: {error.reason}" for error in errors))
        self.extra = {"errors": [{"name": error.name, "reason": error.reason} for error in errors]}


class IdentityRequired(Refusal):
    """401: the request carries no identity, or one that is not valid."""

    status = 401
    title = "Identity required"
    error_type = "identity_required"


class NotAllowed(Refusal):
    """403: the request's identity may not do this."""

    status = 403
    title = "Not allowed"
    error_type = "not_allowed"


class NoSuchResource(Refusal):
    """404: there is nothing at this address."""

    status = 404
    title = "Not found"
    error_type = "not_found"


class StreamNotFound(NoSuchResource):
    """404: no such stream, to this owner."""

    title = "No such stream"

    def __init__(self, detail: str = "There is no such stream.") -> None:
        super().__init__(detail)


class ConversationNotFound(NoSuchResource):
    """404: no such conversation, to this owner."""

    title = "No such conversation"

    def __init__(self) -> None:
        super().__init__("There is no such conversation.")


class MethodNotAllowed(Refusal):
    """405: the resource has no such method."""

    status = 405
    title = "Method not allowed"
    error_type = "method_not_allowed"


class Conflict(Refusal):
    """409: the stream_id is known, with a different request."""

    status = 409
    title = "Different request"
    error_type = "conflict"

    def __init__(self) -> None:
        super().__init__("This stream_id was used for a different request; use a new one.")


class NotContinuable(Refusal):
    """409: ``continues`` names a stream that is still open, or whose answer is complete."""

    status = 409
    title = "Nothing to continue"
    error_type = "not_continuable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"continues: {reason}", errors=[{"name": "continues", "reason": reason}])


class AheadOfLog(Refusal):
    """409: the client says that it has more than the log does."""

    status = 409
    title = "Ahead of the log"
    error_type = "ahead_of_log"

    def __init__(self, latest_event_id: int) -> None:
        super().__init__(
            f"last_event_id is beyond the log's end, which is {latest_event_id}.",
            latest_event_id=latest_event_id,
        )


class StreamPruned(Refusal):
    """410: the stream's events were pruned; the snapshot says what is kept."""

    status = 410
    title = "Events pruned"
    error_type = "pruned"

    def __init__(self) -> None:
        super().__init__("The events of this stream are gone; its snapshot says what is kept.")


class ConversationErased(Refusal):
    """410: the conversation was deleted, and its id takes no more messages."""

    status = 410
    title = "Conversation deleted"
    error_type = "conversation_deleted"

    def __init__(self) -> None:
        super().__init__("This conversation was deleted; use a new conversation_id.")


class BodyTooLarge(Refusal):
    """413: the request body is larger than 1 MiB."""

    status = 413
    title = "Body too large"
    error_type = "body_too_large"


class UnsupportedBody(Refusal):
    """415: the request body is of a kind that is not read here."""

    status = 415
    title = "Unsupported content type"
    error_type = "unsupported_content_type"


class Limited(Refusal):
    """429: a limit is reached; ``retry_after`` says when to try again."""

    status = 429
    title = "Limit reached"


class RateLimited(Limited):
    """429: too many messages in an hour."""

    title = "Too many messages"
    error_type = "rate_limited"


class TooManyStreams(Limited):
    """429: too many live streams, or too many reader connections."""

    title = "Too many streams"
    error_type = "too_many_streams"


class TooManyReports(Limited):
    """429: a client reports what it saw too often."""

    title = "Too many reports"
    error_type = "rate_limited"


class BudgetExceeded(Limited):
    """429: the answer may cost more than is left of a day's budget, or nobody knows what it costs."""

    title = "Budget exceeded"
    error_type = "budget_exceeded"


class Unavailable(Refusal):
    """503: this cannot be served, now or until a setting is made."""

    status = 503
    title = "Not available"
    error_type = "unavailable"


class ProviderError(StreamingError):
    """A provider failed.

    ``message`` is shown to users and must hold nothing of the provider's body; ``detail`` is for the
    logs and holds neither secrets nor prompts.
    """

    def __init__(
        self,
        message: str,
        *,
        error_type: ErrorType = ErrorType.PROVIDER_ERROR,
        retryable: bool = False,
        detail: str = "",
    ) -> None:
        super().__init__(detail or message)
        self.message = message
        self.error_type = error_type
        self.retryable = retryable


class LogGone(StreamingError):
    """The log's end fell behind a reader's place, or the events it needs are gone. ``end``: the next event id."""

    def __init__(self, end: int = 0) -> None:
        super().__init__(f"the log ends before event {end}")
        self.end = end


class LogFull(StreamingError):
    """The log's store has had no room for an append for as long as one waits for it."""
