"""Deliveries: one event on its way to one subscription, and each attempt."""

from __future__ import annotations

import uuid

from django.db import models

from ferris import pushing
from ferris_web.catalog.models import Subscription


class Delivery(models.Model):
    """One message to one subscriber. Written with its event; whoever sends it holds a claim until `due_at`."""

    class Status(models.TextChoices):
        PENDING = "pending"
        SENDING = "sending"
        DELIVERED = "delivered"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(
        primary_key=True, default=uuid.uuid4, help_text="uuid5 of subscription and event: one message each."
    )
    # Without a constraint: a router that still knows a subscription which has just been removed must not fail.
    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, related_name="deliveries", db_constraint=False
    )
    event_key = models.UUIDField(null=True, db_index=True, help_text="Null: a sample of the test button.")
    event_id = models.CharField(max_length=512, blank=True)
    event_type = models.CharField(max_length=512)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="The next attempt; while it is sent, the end of the claim.")
    finished_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0, help_text="Since it was begun, or sent again by hand.")
    attempts = models.PositiveIntegerField(default=0)
    claim = models.CharField(max_length=32, blank=True)
    last_status = models.PositiveIntegerField(default=0, help_text="HTTP status; 0: there was no answer.")
    last_problem = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["subscription", "status", "due_at"], name="delivery_due"),
            models.Index(fields=["subscription", "-created_at", "-id"], name="delivery_latest"),
            models.Index(fields=["created_at"], name="delivery_old"),
        ]

    def __str__(self) -> str:
        return self.message_id

    @property
    def message_id(self) -> str:
        """Its `webhook-id`."""
        return pushing.message_id(self.id)

    @property
    def test(self) -> bool:
        """True for a sample of the test button."""
        return self.event_key is None

    @property
    def ending(self) -> bool:
        """True for the end of an execution, which `event_key` then names."""
        return self.event_type in pushing.ENDED.values()


class DeliveryAttempt(models.Model):
    """One request, and what became of it."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    seconds = models.FloatField()
    status = models.PositiveIntegerField(help_text="HTTP status; 0: there was no answer.")
    problem = models.CharField(max_length=300, blank=True)
    answer = models.TextField(blank=True, help_text="Its beginning, without secrets.")

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"
