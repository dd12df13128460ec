"""The metrics: what is counted, and under which labels.

Every label is bounded: models are those that providers offer (``other`` for the rest), all else is a fixed word. No
label is a user, a stream, a key or a text. ``journal`` counts what happens to streams; ``exposition`` shows the sums.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streaming.errors import ErrorType

REGISTRY = CollectorRegistry()
"""Of this app alone; what the rest of a project counts is the project's."""

PICO = 1e-12

LIMITS = ("rate_limited", "too_many_streams", "budget_exceeded")
UPSTREAM_ERRORS = tuple(each.value for each in ErrorType if each.startswith("provider_"))


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"streaming_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str) -> Gauge:
    return Gauge(f"streaming_{name}", text, registry=REGISTRY, multiprocess_mode="livesum")


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"streaming_{name}", text, labels, registry=REGISTRY, buckets=buckets)


# Streams

STARTS = _counter("starts", "Streams that were started", "model")
TERMINALS = _counter(
    "terminals",
    "Streams that came to their terminal event; status is done, error or cancelled, error_type is that of an error",
    *("model", "status", "error_type"),
)
ACTIVE_STREAMS = _gauge("active_streams", "Streams that are produced now")
IDEMPOTENT_HITS = _counter(
    "idempotent_hits", "Starts that were repeated and attached to their stream: calls to a provider that were saved"
)
ORPHANS = _counter("orphans_closed", "Streams that were closed because their producer was gone")
QUEUED = _gauge("queued_streams", "Starts that wait for a worker, as the oldest process counts them")
QUEUE_WAIT = _histogram(
    "queue_wait_seconds",
    "From a queued start until a worker took it",
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
FIRST_TOKEN = _histogram(
    "time_to_first_token_seconds",
    "From the start of a stream to the first piece of its answer",
    (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60),
    "model",
)
BETWEEN_EVENTS = _histogram(
    "time_between_events_seconds",
    "Between two events of a stream; of those that were appended together, the longest wait",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
DURATION = _histogram(
    "duration_seconds",
    "From the start of a stream to its terminal event",
    (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600),
)

# The log

APPEND_LATENCY = _histogram(
    "append_latency_seconds",
    "From handing events to the log until they are committed",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
APPEND_BATCH = _histogram("append_batch_events", "Events of one append", (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000))
COMMIT_LATENCY = _histogram(
    "commit_latency_seconds",
    "One transaction of the writer, with its repetitions",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
COMMIT_BATCH = _histogram(
    "commit_batch_jobs", "Writes that one transaction held", (1, 2, 5, 10, 25, 50, 100, 250, 1000)
)

# Readers

ACTIVE_READERS = _gauge("active_readers", "Reader connections that are open now")
READERS_DROPPED = _counter(
    "readers_dropped",
    "Reader connections that ended before a terminal event; reason is left (by the client), handed_over (its time or"
    " bytes were up), ended (by us: shut down, or its credential is no longer good), log_gone or broke",
    "reason",
)
RESUMES = _counter("resumes", "Readers that came with a last_event_id")
RESUME_GAP = _histogram(
    "resume_gap_events", "Events that a reader who resumed had missed", (0, 1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000)
)
REPLAYED = _counter("replayed_events", "Events that were in the log before the reader that they are sent to came")

# Refusals and failures

QUOTA_REFUSALS = _counter("quota_refusals", "Starts and readers refused by a limit (429)", "error_type")
REFUSALS = _counter("refusals", "Requests answered with a problem document", "status", "error_type")
UPSTREAM_FAILURES = _counter("upstream_errors", "Calls to a provider that failed", "provider", "error_type")

# Money

TOKENS = _counter("tokens", "Tokens of ended streams; kind is prompt or completion", "model", "kind")
COST = _counter("cost_usd", "What ended streams cost; state says how it is known", "model", "state")
COMPARED_COST = _counter(
    "compared_cost_usd",
    "What streams with usage from their provider cost: by the provider's usage, and by the estimate that would have"
    " stood in for it; the drift is the difference",
    *("model", "by"),
)

# The process

LOOP_LAG = _histogram(
    "event_loop_lag_seconds",
    "How much later than due the event loop came to a timer",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)

# What clients saw

CLIENT_REPORTS = _counter("client_reports", "Reports of clients")
CLIENT_CONNECTIONS = _counter(
    "client_connections", "Connections that clients tried to open; outcome is opened or failed", "outcome"
)
CLIENT_RECONNECTS = _histogram(
    "client_reconnects", "Reconnects that one report of a client tells of", (0, 1, 2, 5, 10, 20, 50)
)
CLIENT_DUPLICATES = _counter("client_duplicates_dropped", "Events that clients had already")
CLIENT_STALLS = _counter("client_stalls", "Times that clients waited too long for an event")
CLIENT_GAPS = _counter("client_gaps", "Events that clients missed until they asked for them again")
CLIENT_FRESH_COPIES = _counter("client_fresh_copies", "Copies that clients threw away for the server's")
CLIENT_RECOVERY = _histogram(
    "client_recovery_seconds",
    "From losing a connection to the next event, as clients saw it",
    (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120),
)


def count_client_report(
    *,
    reconnects: int = 0,
    duplicates: int = 0,
    stalls: int = 0,
    gaps: int = 0,
    fresh_copies: int = 0,
    recoveries: Iterable[float] = (),
    opened: int = 0,
    failed: int = 0,
) -> None:
    """Count what a client tells of one while: checked numbers, recoveries in seconds each. Nothing of it is kept."""
    CLIENT_REPORTS.inc()
    CLIENT_RECONNECTS.observe(reconnects)
    CLIENT_DUPLICATES.inc(duplicates)
    CLIENT_STALLS.inc(stalls)
    CLIENT_GAPS.inc(gaps)
    CLIENT_FRESH_COPIES.inc(fresh_copies)
    CLIENT_CONNECTIONS.labels("opened").inc(opened)
    CLIENT_CONNECTIONS.labels("failed").inc(failed)
    for seconds in recoveries:
        CLIENT_RECOVERY.observe(seconds)


def _show_from_the_start() -> None:
    """Series that are there before anything happened, so that an alert on their growth sees the first time."""
    for reason in ("left", "handed_over", "ended", "log_gone", "broke"):
        READERS_DROPPED.labels(reason)
    for limit in LIMITS:
        QUOTA_REFUSALS.labels(limit)
    for outcome in ("opened", "failed"):
        CLIENT_CONNECTIONS.labels(outcome)


_show_from_the_start()
