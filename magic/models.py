"""The tables: prompt templates with all their versions, and results of triage. Thin: see ``library``, ``triage``."""

from __future__ import annotations

from django.db import models

from magic.definitions import Category, Definition, make_definition
from magic.messages import Priority
from streaming.models import Stream


class PromptTemplate(models.Model):
    """A prompt template as it is used now. What ships with the app begins as a file in ``magic/prompts``."""

    name = models.CharField(max_length=60, unique=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    """Grows with every change, whoever makes it; each is kept as a ``TemplateVersion``."""
    title = models.CharField(max_length=100)
    description = models.CharField(max_length=300)
    inputs = models.JSONField(default=list, blank=True)
    """As ``inputs.Input`` has them."""
    body = models.TextField()
    triage = models.JSONField(default=dict, blank=True)
    """As ``definitions.TriageHint`` has it."""
    enabled = models.BooleanField(default=True, help_text="Whether it is offered and can be rendered.")
    shipped_version = models.PositiveIntegerField(null=True, editable=False)
    """The version of the file that was last taken; null: made here."""
    shipped_digest = models.CharField(max_length=64, blank=True, editable=False)
    """The digest of that file: an other one of the row means that somebody changed it."""
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def definition(self) -> Definition:
        """Raises ValueError where the row is no template."""
        return make_definition(
            {
                "name": self.name,
                "version": self.version,
                "title": self.title,
                "description": self.description,
                "inputs": self.inputs,
                "body": self.body,
                "triage": self.triage,
            }
        )

    @property
    def is_changed(self) -> bool:
        """Whether it is no longer what was shipped."""
        return self.shipped_version is not None and self.definition.digest != self.shipped_digest


class TemplateVersion(models.Model):
    """What a template was from a time on. Never changed."""

    class Origin(models.TextChoices):
        """Where a version comes from."""

        SHIPPED = "shipped", "shipped with the app"
        EDITED = "edited", "edited in the admin"

    template = models.ForeignKey(PromptTemplate, models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    content = models.JSONField()
    """A ``Definition``."""
    origin = models.CharField(max_length=16, choices=Origin.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["template", "version"], name="template_version_is_there_once"),)
        ordering = ("-version",)

    def __str__(self) -> str:
        return f"version {self.version}"


class TriageResult(models.Model):
    """What triage made of one message. Whose it is, its call and its cost are those of its stream, and so is its id."""

    class State(models.TextChoices):
        """Where it stands."""

        PENDING = "pending", "pending: the model is being asked"
        DONE = "done"
        FAILED = "failed"
        FORGOTTEN = "forgotten", "forgotten: its text was deleted"

    stream = models.OneToOneField(Stream, models.PROTECT, primary_key=True, related_name="+")
    """The call; its ``stream_id`` is the ``artifact_id``."""
    repair = models.OneToOneField(Stream, models.PROTECT, null=True, related_name="+")
    """The second call, where the first answer did not fit the schema."""
    fingerprint = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    content = models.TextField()
    subject = models.CharField(max_length=300, blank=True)
    from_email = models.CharField(max_length=320, blank=True)
    category = models.CharField(max_length=16, choices=[(each.value, each.value) for each in Category], blank=True)
    priority = models.CharField(max_length=16, choices=[(each.value, each.value) for each in Priority], blank=True)
    summary = models.CharField(max_length=1000, blank=True)
    action_items = models.JSONField(default=list)
    reasons = models.JSONField(default=list)
    suggested_template = models.CharField(max_length=60, blank=True)
    template_version = models.PositiveIntegerField(null=True)
    inputs = models.JSONField(default=dict)
    model = models.CharField(max_length=200, blank=True)
    """The model that is suggested for the filled-in template."""
    estimated_pico_usd = models.BigIntegerField(null=True)
    """What it would cost to send the filled-in template to that model, in 10⁻¹² USD; null where not known."""
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"triage {self.pk}"
