"""Past events that are sent once more."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from ferris_web.catalog.models import Service


class Replay(models.Model):
    """Past events that are sent once more, and how far that has come. The gateway's replayer feeds the log."""

    class Status(models.TextChoices):
        RUNNING = "running"
        COMPLETED = "completed"
        STOPPED = "stopped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    service = models.ForeignKey(
        Service,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="replays",
        help_text="The one service they go to. Empty: to all that listen.",
    )
    event_type = models.CharField(max_length=512, default="*", help_text="Exact, 'prefix.*' or '*'.")
    filter = models.JSONField(null=True, blank=True)
    cesql = models.TextField(null=True, blank=True)  # noqa: DJ001 - none is not an empty expression
    flow_id = models.CharField(max_length=512, blank=True, help_text="Only events of this flow.")
    derived = models.BooleanField(default=False, help_text="Also events that executions sent.")
    since = models.DateTimeField()
    until = models.DateTimeField()
    before_revision = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Only events that were matched with an older catalog than this."
    )
    rate = models.FloatField(default=0, help_text="Events per second; 0: as fast as they are taken up.")
    expected = models.PositiveIntegerField(null=True, blank=True, help_text="As counted before it began.")
    place_at = models.DateTimeField(null=True, blank=True)
    place_key = models.UUIDField(null=True, blank=True)
    read = models.PositiveIntegerField(default=0, help_text="Events looked at.")
    sent = models.PositiveIntegerField(default=0, help_text="Events sent again.")
    fed_by = models.CharField(max_length=64, blank=True)
    fed_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"]),
            models.Index(fields=["fed_until"], condition=Q(status="running"), name="replay_running"),
        ]

    def __str__(self) -> str:
        return f"replay of {self.event_type} into {self.service or 'all services'}"
