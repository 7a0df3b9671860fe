"""Work on all rows of a list that fit a filter, done in the background."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class BulkJob(models.Model):
    """One action on all that fits, and how far it has come. The gateway works it off in pieces."""

    class Status(models.TextChoices):
        RUNNING = "running"
        COMPLETED = "completed"
        STOPPED = "stopped"

    class Action(models.TextChoices):
        CANCEL = "cancel"
        RETRY = "retry"
        SEND = "send"
        DELETE = "delete"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    listing = models.CharField(max_length=40, help_text="Of which list.")
    action = models.CharField(max_length=10, choices=Action)
    filter = models.JSONField(default=dict, help_text="What the list is filtered by.")
    projects = models.JSONField(
        null=True, blank=True, help_text="Only of these projects: what its maker's token allowed. Empty: all."
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(help_text="Rows that came later are left alone.")
    finished_at = models.DateTimeField(null=True, blank=True)
    expected = models.PositiveIntegerField(default=0, help_text="As counted before it began.")
    done = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0, help_text="Could not be done, as things were by then.")
    pieces = models.PositiveIntegerField(default=0)
    place = models.CharField(max_length=500, blank=True, help_text="Where the next piece begins.")
    fed_by = models.CharField(max_length=64, blank=True)
    fed_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "executions"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="bulk_job_newest"),
            models.Index(fields=["fed_until"], condition=Q(status="running"), name="bulk_job_running"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.listing}"
