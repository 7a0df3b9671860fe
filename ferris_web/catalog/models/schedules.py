"""When services run by the clock."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from ferris_web.catalog.models.services import Service


class Schedule(models.Model):
    """When a service runs by the clock. The one scheduler of the gateway turns due rows into events."""

    class Origin(models.TextChoices):
        MANIFEST = "manifest"
        SCRIPT = "script"
        PERSON = "person"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="schedules")
    origin = models.CharField(max_length=10, choices=Origin)
    name = models.CharField(max_length=512, blank=True, help_text="Event name the script sees; may be empty.")
    cron = models.CharField(max_length=255)
    timezone = models.CharField(max_length=64, default="UTC")
    parameters = models.JSONField(default=dict, blank=True)
    once = models.BooleanField(default=False)
    # "retried" when a script asked for another run of itself (context.scheduler.retry), else "scheduled"
    trigger_type = models.CharField(max_length=10, default="scheduled")
    flow_id = models.CharField(
        max_length=255, blank=True, help_text="Set when its runs belong to an existing flow."
    )
    parent_execution = models.UUIDField(null=True, blank=True)
    active = models.BooleanField(default=True)
    next_due_at = models.DateTimeField(null=True, blank=True)
    last_due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["next_due_at", "id"]
        indexes = [models.Index(fields=["next_due_at"], condition=Q(active=True), name="schedule_due")]

    def __str__(self) -> str:
        return f"{self.service} at {self.cron} ({self.timezone})"
