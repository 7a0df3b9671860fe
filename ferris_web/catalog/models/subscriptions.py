"""Subscriptions: which events are pushed to which URL."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from ferris import pushing


class Subscription(models.Model):
    """Events that match are pushed, signed, to a URL. Its secret and its secret headers are encrypted."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        DISABLED = "disabled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey("catalog.Project", on_delete=models.CASCADE, related_name="subscriptions")
    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", "Letters, digits, dots, dashes and underscores only."
            )
        ],
    )
    description = models.CharField(max_length=300, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    event_type = models.CharField(max_length=512, help_text="A type, prefix.* or *.")
    filter = models.JSONField(null=True, blank=True, help_text="As in a manifest's trigger_events.")
    cesql = models.TextField(blank=True, help_text="Instead of a filter: an expression.")
    url = models.CharField(max_length=pushing.MAX_URL, help_text="Where events are sent to.")
    form = models.CharField(max_length=10, choices=list(pushing.FORMS), default=pushing.STRUCTURED)
    headers = models.JSONField(default=dict, blank=True, help_text="Sent along, for all to see.")
    secret_headers = models.JSONField(default=list, blank=True, editable=False)  # their names
    timeout_seconds = models.PositiveIntegerField(
        default=15, validators=[MinValueValidator(1), MaxValueValidator(30)]
    )
    disable_after_days = models.PositiveIntegerField(
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(30)],
        help_text="Days without one success after which it is switched off.",
    )
    ciphertext = models.TextField(editable=False)  # {"secrets": [newest, the one before], "headers": {}}
    previous_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="So long the secret before this one signs too."
    )
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=300, blank=True, editable=False)
    disabled_told = models.BooleanField(default=True, editable=False)
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(
                fields=["disabled_at"],
                condition=models.Q(disabled_told=False),
                name="subscription_untold",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def receiver(self) -> str:
        """Where it leads, without what may be secret."""
        try:
            return pushing.target(self.url).shown
        except pushing.SubscriptionError:
            return "?"
