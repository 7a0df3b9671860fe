"""Notices, and the messages that told of them."""

from __future__ import annotations

import uuid

from django.db import models

from ferris_web.catalog.models import NotificationRule


class Notification(models.Model):
    """One message to one target of a rule. Whoever sends it holds a claim until `due_at`."""

    class Status(models.TextChoices):
        PENDING = "pending"
        SENDING = "sending"
        SENT = "sent"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    rule = models.ForeignKey(
        NotificationRule, on_delete=models.CASCADE, related_name="messages", db_constraint=False
    )
    target = models.CharField(max_length=32)
    shown = models.CharField(max_length=100)
    notices = models.PositiveIntegerField(help_text="How many it tells of; 0: a test.")
    title = models.CharField(max_length=200)
    body = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="The next attempt; while it is sent, the end of the claim.")
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    claim = models.CharField(max_length=32, blank=True)
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["status", "due_at"], name="notification_due"),
            models.Index(fields=["rule", "-created_at", "-id"], name="notification_latest"),
        ]

    def __str__(self) -> str:
        return self.title


class Notice(models.Model):
    """Something that a rule tells of. Kept for a while, so that it is told once."""

    id = models.UUIDField(primary_key=True, help_text="uuid5 of the rule and what it tells of.")
    rule = models.ForeignKey(
        NotificationRule, on_delete=models.CASCADE, related_name="notices", db_constraint=False
    )
    at = models.DateTimeField()
    text = models.CharField(max_length=500)
    place = models.CharField(max_length=600, help_text="Where the console shows it.")
    told = models.BooleanField(default=False)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["rule", "-at"], condition=models.Q(told=False), name="notice_untold"),
            models.Index(fields=["at"], name="notice_old"),
        ]

    def __str__(self) -> str:
        return self.text
