"""The tables. Thin: state, constraints and named queries; behaviour lives in the engine, the log and the ledger."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from streaming.events import LOG_FORMAT, EventType


class Status(models.TextChoices):
    """Where a stream stands."""

    QUEUED = "queued"
    STREAMING = "streaming"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def is_live(self) -> bool:
        return self in {Status.QUEUED, Status.STREAMING}


class CostState(models.TextChoices):
    """How a cost is known."""

    PENDING = "pending", "pending: the stream is live"
    PROVIDER = "provider", "provider: from the provider's own usage"
    ESTIMATED = "estimated", "estimated: the price of our own counts"
    UNKNOWN = "unknown", "unknown: no price is known"


class Process(models.Model):
    """One server process and its lease on the streams that it produces."""

    name = models.CharField(max_length=255, unique=True)
    """Host, process id and a random part."""
    kind = models.CharField(max_length=16, default="web")
    version = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField()
    renewed = models.FloatField()
    """When the lease was last renewed, in seconds on the store's clock (see ``lease``)."""
    lease_seconds = models.FloatField()
    draining = models.BooleanField(default=False)
    readers = models.JSONField(default=dict, null=True)
    """How many readers each stream had here when the lease was last renewed, by the stream's key; null: not told."""
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "processes"

    def __str__(self) -> str:
        return self.name


class StreamQuerySet(models.QuerySet["Stream"]):
    def owned_by(self, issuer: str, user_id: str) -> StreamQuerySet:
        """The streams of one owner, who is (issuer, user_id)."""
        return self.filter(issuer=issuer, user_id=user_id)


class Conversation(models.Model):
    """An owner's conversation: made by the first stream that names it. Its streams name it, and are its content."""

    issuer = models.CharField(max_length=64)
    user_id = models.CharField(max_length=128)
    conversation_id = models.CharField(max_length=128)
    title = models.CharField(max_length=200, null=True)
    """The owner's own; null: the beginning of the first message is shown."""
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    """When its newest stream was started."""
    erased_at = models.DateTimeField(null=True)
    """Since when its text is forgotten, or about to be; it takes no more streams."""
    erasing = models.BooleanField(default=False)
    """Some of its streams are still to be emptied; any process does so (see ``conversations``)."""

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["issuer", "user_id", "conversation_id"], name="conversation_unique_per_owner"
            ),
        )
        indexes = (
            models.Index(
                fields=["issuer", "user_id", "updated_at", "conversation_id"],
                name="conversation_by_owner",
                condition=Q(erased_at__isnull=True),
            ),
            models.Index(fields=["erasing"], name="conversation_to_erase", condition=Q(erasing=True)),
        )

    def __str__(self) -> str:
        return self.conversation_id


class Stream(models.Model):
    """One answer of one model to one message. Never deleted: pruning empties it and leaves a tombstone."""

    issuer = models.CharField(max_length=64)
    """Who vouches for ``user_id``: ``open``, ``session``, or an API key."""
    user_id = models.CharField(max_length=128)
    stream_id = models.CharField(max_length=128)
    conversation_id = models.CharField(max_length=128, null=True)
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children")
    fingerprint = models.CharField(max_length=64)
    """SHA-256 of the request as supplied; kept for ever, so that an old id never bills again."""
    format = models.PositiveSmallIntegerField(default=LOG_FORMAT)
    request_id = models.CharField(max_length=128, blank=True)
    address = models.CharField(max_length=32, null=True)
    """Where an anonymous identity asked from: a keyed hash (see ``addresses``); null for every other."""

    model = models.CharField(max_length=200)
    provider = models.CharField(max_length=64)
    message = models.TextField()
    system = models.TextField(null=True)
    temperature = models.FloatField(null=True)
    max_tokens = models.PositiveIntegerField(null=True)
    template = models.CharField(max_length=80, null=True)
    """The prompt template that the message was made from, as ``name`` or ``name@version``; null: none was named."""

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    finish_reason = models.CharField(max_length=32, blank=True)
    error_type = models.CharField(max_length=32, blank=True)
    error = models.CharField(max_length=500, blank=True)

    created_at = models.DateTimeField()
    dispatched_at = models.DateTimeField(null=True)
    """Committed before the first byte goes to a provider; from then on the start is never run again."""
    cancel_requested_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    first_token_ms = models.PositiveIntegerField(null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    resumes = models.PositiveIntegerField(default=0, db_default=0)
    """How often a reader came back for the rest."""
    pruned_at = models.DateTimeField(null=True)
    """Since when this is a tombstone: the events are gone, the numbers are kept."""
    sealed_at = models.DateTimeField(null=True)
    """Since when the events are packed into records, and no rows any more."""

    objects = StreamQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["issuer", "user_id", "stream_id"], name="stream_unique_per_owner"),
        )
        indexes = (
            models.Index(fields=["issuer", "user_id", "id"], name="stream_by_owner"),
            models.Index(
                fields=["issuer", "user_id", "conversation_id", "id"],
                name="stream_by_conversation",
                condition=Q(conversation_id__isnull=False),
            ),
            models.Index(
                fields=["issuer", "user_id"], name="stream_live_by_owner", condition=Q(finished_at__isnull=True)
            ),
            models.Index(fields=["address", "id"], name="stream_by_address", condition=Q(address__isnull=False)),
            models.Index(
                fields=["cancel_requested_at"],
                name="stream_to_cancel",
                condition=Q(cancel_requested_at__isnull=False, finished_at__isnull=True),
            ),
            models.Index(
                # With sealed_at, which is null: else SQLite takes stream_to_prune for it, which is long.
                fields=["sealed_at", "finished_at"],
                name="stream_to_seal",
                condition=Q(finished_at__isnull=False, sealed_at__isnull=True, pruned_at__isnull=True),
            ),
            models.Index(
                fields=["finished_at", "id"],
                name="stream_to_prune",
                condition=Q(finished_at__isnull=False, pruned_at__isnull=True),
            ),
            # For the admin, whose lists are in the order of the starts.
            models.Index(fields=["created_at", "id"], name="stream_by_start"),
            models.Index(fields=["status", "created_at", "id"], name="stream_by_status"),
            models.Index(fields=["provider", "created_at", "id"], name="stream_by_provider"),
            models.Index(fields=["model", "created_at", "id"], name="stream_by_model"),
            models.Index(fields=["error_type", "created_at", "id"], name="stream_by_error"),
            models.Index(
                fields=["template", "created_at", "id"],
                name="stream_by_template",
                condition=Q(template__isnull=False),
            ),
            models.Index(fields=["stream_id"], name="stream_by_stream_id", opclasses=["text_pattern_ops"]),
        )
        permissions = (
            ("view_stream_text", "Can read prompts and answers"),
            ("stop_stream", "Can stop streams"),
            ("export_stream", "Can export the numbers of streams"),
            ("forget_stream", "Can delete the text of streams"),
        )

    def __str__(self) -> str:
        return self.stream_id


class StreamHead(models.Model):
    """The fence: who may append to a log, and where. Outlives the events."""

    stream = models.OneToOneField(Stream, models.PROTECT, primary_key=True, related_name="head")
    process = models.ForeignKey(Process, models.PROTECT, null=True, db_index=False)
    """The process that produces the stream; null while none has taken it on."""
    attempt = models.PositiveIntegerField(default=1)
    """The claim on the log of who produces; 0 of a stream that is queued, which is nobody's."""
    claim = models.UUIDField(default=uuid.uuid4)
    """Made by the start that created the stream: tells a repeated start from a lost race."""
    next_event_id = models.BigIntegerField(default=0)
    closed = models.BooleanField(default=False)

    class Meta:
        indexes = (models.Index(fields=["process"], name="head_open", condition=Q(closed=False)),)
        constraints = (models.CheckConstraint(condition=Q(next_event_id__gte=0), name="head_next_event_id_from_0"),)

    def __str__(self) -> str:
        return f"{self.stream_id}: next {self.next_event_id}{', closed' if self.closed else ''}"


class StreamEvent(models.Model):
    """One event of a log. ``data`` is the exact text that goes onto the wire."""

    pk = models.CompositePrimaryKey("stream_id", "event_id")
    stream = models.ForeignKey(Stream, models.PROTECT, related_name="events", db_index=False)
    event_id = models.BigIntegerField()
    type = models.PositiveSmallIntegerField(choices=[(kind.value, kind.wire_name) for kind in EventType])
    data = models.TextField()
    elapsed_ms = models.BigIntegerField()
    """Milliseconds since the stream was created."""

    def __str__(self) -> str:
        return f"{self.event_id} {EventType(self.type).wire_name}"


class StreamRecord(models.Model):
    """A part of a record: the events of a closed log from ``first_event_id`` on, packed (see ``eventlog.record``).

    In parts, because SQLite cannot put two rows of more than half a page onto one, and most records are that long.
    """

    pk = models.CompositePrimaryKey("stream_id", "first_event_id", "part")
    stream = models.ForeignKey(Stream, models.PROTECT, related_name="records", db_index=False)
    first_event_id = models.BigIntegerField()
    part = models.PositiveSmallIntegerField()
    data = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.stream_id} from {self.first_event_id}, part {self.part}"


class CostRecord(models.Model):
    """The ledger: one row per stream, born with it, settled in the transaction of its terminal event.

    Amounts and unit prices are integers of 10⁻¹² USD (unit prices: per token).
    """

    stream = models.OneToOneField(Stream, models.PROTECT, primary_key=True, related_name="cost")
    state = models.CharField(max_length=16, choices=CostState.choices, default=CostState.PENDING)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    input_price = models.BigIntegerField(null=True)
    output_price = models.BigIntegerField(null=True)
    cached_input_price = models.BigIntegerField(null=True)
    cache_write_price = models.BigIntegerField(null=True)
    price_source = models.CharField(max_length=100, blank=True)
    total_pico_usd = models.BigIntegerField(null=True)
    reserved_pico_usd = models.BigIntegerField(default=0)
    """What is put aside under a budget while the stream is live: the most that it can cost."""
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    raw_usage = models.JSONField(null=True)
    """The numbers of the provider's own usage, as it named them; null where it told none."""

    class Meta:
        indexes = (
            models.Index(fields=["created_at"], name="cost_by_start"),
            models.Index(fields=["state", "stream"], name="cost_by_state"),
        )
        constraints = (
            models.CheckConstraint(condition=Q(total_pico_usd__gte=0), name="cost_not_negative"),
            models.CheckConstraint(
                condition=Q(reserved_pico_usd=0) | Q(state="pending", reserved_pico_usd__gt=0),
                name="cost_reserved_while_pending",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "unknown"], total_pico_usd__isnull=True)
                | Q(state__in=["provider", "estimated"], total_pico_usd__isnull=False),
                name="cost_known_when_priced",
            ),
        )

    def __str__(self) -> str:
        return f"{self.stream_id}: {self.total_pico_usd} pUSD ({self.state})"


class Allowance(models.Model):
    """What one account has spent on a day, as far as the ledger is summed up; see ``limits``. Starts lock it."""

    account = models.CharField(max_length=256, primary_key=True)
    """``owner:<issuer>/<user_id>``, ``address:<hash>`` or ``total``."""
    day = models.DateField()
    spent_pico_usd = models.BigIntegerField(default=0)
    """Of the streams that started on ``day``, up to ``through``; all of these are settled."""
    through = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.account


class ModelPrice(models.Model):
    """A price of one's own for a model, from a date on; wins over the catalogue. USD per million tokens."""

    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=200)
    starts_at = models.DateTimeField()
    input_usd = models.DecimalField(max_digits=14, decimal_places=6)
    output_usd = models.DecimalField(max_digits=14, decimal_places=6)
    cached_input_usd = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)
    cache_write_usd = models.DecimalField(max_digits=14, decimal_places=6, null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["provider", "model", "starts_at"], name="price_unique_by_date"),
            models.CheckConstraint(
                condition=Q(input_usd__gte=0)
                & Q(output_usd__gte=0)
                & (Q(cached_input_usd__isnull=True) | Q(cached_input_usd__gte=0))
                & (Q(cache_write_usd__isnull=True) | Q(cache_write_usd__gte=0)),
                name="price_not_negative",
            ),
        )
        ordering = ("provider", "model", F("starts_at").desc())

    def __str__(self) -> str:
        return f"{self.provider}/{self.model} from {self.starts_at:%Y-%m-%d}"


class Scope(models.TextChoices):
    """What an API key may be used for."""

    STREAM = "stream", "stream: start, attach and cancel"
    READ = "read", "read: snapshots and lists"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> ApiKeyQuerySet:
        """The keys that are neither revoked nor expired."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()), revoked_at__isnull=True)


class ApiKey(models.Model):
    """A program's credential. Never deleted: it is the issuer of its streams, and its name stays theirs."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, editable=False)
    """The beginning of the key, by which people know it again."""
    hash = models.CharField(max_length=64, unique=True, editable=False)
    """SHA-256 of the key. No salt: the key is 256 random bits, which nobody guesses."""
    scopes = models.CharField(max_length=64)
    """Some of ``Scope``, with a space between them."""
    created_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never. The time is UTC.")
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    """To the minute: it is not written for every request."""

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
