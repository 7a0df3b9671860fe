"""Figures of executions that have ended, added up."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

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
            models.Index(  # with what is asked for, so that only the rows that fit are looked up
                fields=["span", "project", "start", "status", "trigger_type", "lane"],
                condition=Q(service=None),
                name="rollup_project",
            ),
            models.Index(fields=["span", "start"], name="rollup_age"),
            models.Index(
                fields=["service", "span", "start"],
                condition=Q(service__isnull=False),
                name="rollup_service",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.status} in the {self.span} of {self.start}"


ROLLUPS_KEPT: Final = {Rollup.Span.HOUR: timedelta(days=100), Rollup.Span.DAY: timedelta(days=1100)}
"""How long, by span: longer than the journal, where that is not kept for longer than usual."""


class Standing(models.Model):
    """What a service did in one of the periods that dashboards offer, up to now: so the first ones of a ranking are
    the first rows of an index. `services.standings` writes it."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="+", db_index=False)
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_index=False, help_text="The service's."
    )
    period = models.CharField(max_length=4, help_text="24h, 7d, …")
    oldest = models.DateTimeField(
        null=True, help_text="The begin of the first hour or day that it counts. None: it counts nothing."
    )
    count = models.PositiveBigIntegerField(default=0)
    completed = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    took_ms = models.PositiveBigIntegerField(default=0, help_text="Of those that completed, all together.")
    mean_ms = models.FloatField(null=True, help_text="Of those that completed. None: none did.")
    took_most_ms = models.PositiveBigIntegerField(default=0)

    class Meta:
        app_label = "executions"
        ordering = ["period", "-count", "service"]
        constraints = [models.UniqueConstraint(fields=["service", "period"], name="standing_service")]
        indexes = [
            models.Index(fields=["period", "-count", "service"], name="standing_count"),
            models.Index(fields=["period", "-failed", "service"], name="standing_failed"),
            models.Index(
                fields=["period", "-mean_ms", "service"],
                condition=Q(mean_ms__isnull=False),
                name="standing_mean",
            ),
            models.Index(fields=["project", "period", "-count", "service"], name="standing_its_count"),
            models.Index(fields=["project", "period", "-failed", "service"], name="standing_its_failed"),
            models.Index(
                fields=["project", "period", "-mean_ms", "service"],
                condition=Q(mean_ms__isnull=False),
                name="standing_its_mean",
            ),
            models.Index(fields=["period", "oldest"], name="standing_oldest"),
        ]

    def __str__(self) -> str:
        return f"{self.count} in {self.period}"


class Tally(models.Model):
    """How many rows of a list were made within an hour (UTC) that is over, by outcome: for the histogram above it.
    `services.tallies` writes it, hour by hour."""

    listing = models.CharField(max_length=20, help_text="events or flows.")
    start = models.DateTimeField(help_text="Of the hour.")
    outcome = models.CharField(max_length=12)
    count = models.PositiveBigIntegerField()

    class Meta:
        app_label = "executions"
        ordering = ["listing", "start", "outcome"]
        constraints = [
            models.UniqueConstraint(fields=["listing", "start", "outcome"], name="tally_once"),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.outcome} {self.listing} in the hour of {self.start}"
