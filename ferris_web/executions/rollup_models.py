"""Figures of executions that have ended, added up."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ferris_web.catalog.models import Project, Service


class Rollup(models.Model):
    """The executions made within one hour or day (UTC) that have ended, of one service, of a project, or of all, by
    outcome, trigger type and lane. `services.rollups` writes it, each execution once."""

    class Span(models.TextChoices):
        HOUR = "hour"
        DAY = "day"

    id = models.UUIDField(primary_key=True, help_text="uuid5 of what it is about.")
    span = models.CharField(max_length=4, choices=Span)
    start = models.DateTimeField(help_text="Of the hour or day in which they were made.")
    project = models.ForeignKey(
        Project, null=True, on_delete=models.CASCADE, related_name="+", db_index=False, help_text="None: all."
    )
    service = models.ForeignKey(
        Service, null=True, on_delete=models.CASCADE, related_name="+", db_index=False, help_text="None: all."
    )
    status = models.CharField(max_length=12)
    trigger_type = models.CharField(max_length=10)
    lane = models.CharField(max_length=10)
    count = models.PositiveBigIntegerField(default=0)
    started = models.PositiveBigIntegerField(default=0, help_text="How many of them had begun.")
    waited_ms = models.PositiveBigIntegerField(
        default=0, help_text="From creation to the start, all together."
    )
    waited_most_ms = models.PositiveBigIntegerField(default=0)
    waits = models.JSONField(default=dict, help_text="A sketch, see ferris.sketches.")
    took_ms = models.PositiveBigIntegerField(default=0, help_text="From start to end, all together.")
    took_most_ms = models.PositiveBigIntegerField(default=0)
    durations = models.JSONField(default=dict, help_text="A sketch.")

    class Meta:
        app_label = "executions"
        ordering = ["start", "id"]
        indexes = [
            models.Index(
                fields=["span", "project", "start"], condition=Q(service=None), name="rollup_project"
            ),
            models.Index(
                fields=["span", "start", "project"],
                condition=Q(service__isnull=False),
                name="rollup_services",
            ),
            models.Index(
                fields=["service", "span", "start"],
                condition=Q(service__isnull=False),
                name="rollup_service",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.status} in the {self.span} of {self.start}"
