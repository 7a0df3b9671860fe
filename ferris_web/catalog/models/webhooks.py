"""Webhooks: who may send from outside without an account, and what lately came."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from ferris import signatures, webhooks


class Webhook(models.Model):
    """A source whose requests become events. Its secrets are encrypted like any other."""

    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", "Letters, digits, dots, dashes and underscores only."
            )
        ],
        help_text="Part of its address: /hooks/NAME/",
    )
    description = models.CharField(max_length=300, blank=True)
    active = models.BooleanField(default=True, help_text="Switched off, it refuses every request.")
    kind = models.CharField(
        max_length=20, choices=list(signatures.KINDS.items()), help_text="How requests are verified."
    )
    options = models.JSONField(
        default=dict, blank=True, help_text="Of an HMAC or a token: header, prefix, algorithm, encoding …"
    )
    window_seconds = models.PositiveIntegerField(
        default=signatures.WINDOW_SECONDS,
        validators=[MinValueValidator(1), MaxValueValidator(86_400)],
        help_text="How old a request may be, where the time of sending is signed.",
    )
    ciphertext = models.TextField(
        editable=False
    )  # a list: the secret, and the one before it while they change
    previous_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="So long the secret before this one counts too."
    )
    event_type = models.CharField(
        max_length=400,
        default=webhooks.DEFAULT_TYPE,
        help_text="The type of its events; with a type from the request, what stands before the dot.",
    )
    type_from = models.CharField(
        max_length=200, blank=True, help_text="header:X-GitHub-Event, or field:action: joined to the type."
    )
    id_from = models.CharField(
        max_length=200,
        blank=True,
        help_text="header:NAME, field:PATH or digest. Empty: as the provider does it, else each request is an "
        "event of its own.",
    )
    headers = models.JSONField(
        default=dict,
        blank=True,
        help_text='Headers to keep: {"X-Tenant": "data.tenant", "X-Region": "region"} (data, or an extension).',
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def source(self) -> str:
        """The `source` of its events."""
        return f"ferris/webhook/{self.name}"


class WebhookDelivery(models.Model):
    """One request that came to a webhook, and what became of it. Only the latest are kept."""

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted"
        DUPLICATE = "duplicate"
        INVALID = "invalid"
        REFUSED = "refused"

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    received_at = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=Outcome)
    detail = models.CharField(max_length=500, blank=True)
    event_key = models.UUIDField(null=True, blank=True)
    event_id = models.CharField(max_length=1024, blank=True)
    event_type = models.CharField(max_length=1024, blank=True)
    size = models.PositiveIntegerField(default=0)
    test = models.BooleanField(default=False)
    headers = models.JSONField(default=dict)  # without those that prove the sender
    body = models.TextField(blank=True, help_text="Its beginning, without secrets.")

    class Meta:
        ordering = ["-received_at", "-id"]
        verbose_name_plural = "webhook deliveries"
        indexes = [
            models.Index(fields=["webhook", "-received_at", "-id"], name="webhook_delivery_latest"),
            models.Index(fields=["webhook", "event_key"], name="webhook_delivery_event"),
        ]

    def __str__(self) -> str:
        return f"{self.webhook} at {self.received_at:%Y-%m-%d %H:%M:%S}"
