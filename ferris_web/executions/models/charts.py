"""Charts that people define, and what they show."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from ferris import chart_sums, charts, pushing
from ferris_web.catalog.models import Project, Service
from ferris_web.executions.models.rollups import Rollup


class Chart(models.Model):
    """A chart on the dashboard of a project, or on that of the platform."""

    class Source(models.TextChoices):
        EVENTS = "events", "events, added up as they come"
        METRICS = "metrics", "what a service records by context.metrics"
        ARTIFACT = "artifact", "chart JSON that a service leaves as an artifact"
        URL = "url", "chart JSON from a URL"

    class Width(models.TextChoices):
        HALF = "half"
        FULL = "full"

    class Period(models.TextChoices):
        DASHBOARD = "", "as the dashboard"
        DAY = "24h", "24 hours"
        WEEK = "7d", "7 days"
        MONTH = "30d", "30 days"
        QUARTER = "90d", "90 days"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="charts",
        help_text="Empty: of the platform.",
    )  # fmt: skip
    position = models.PositiveIntegerField(default=0, help_text="Charts stand in this order.")
    title = models.CharField(max_length=100)
    description = models.CharField(max_length=300, blank=True)
    kind = models.CharField(max_length=5, choices=[(kind, kind) for kind in charts.KINDS])
    width = models.CharField(max_length=4, choices=Width, default=Width.HALF)
    period = models.CharField(max_length=3, choices=Period, default=Period.DASHBOARD, blank=True)
    unit = models.CharField(max_length=20, blank=True)
    source = models.CharField(max_length=8, choices=Source)

    event_type = models.CharField(max_length=512, blank=True, help_text="A type, prefix.* or *.")
    filter = models.JSONField(null=True, blank=True, help_text="As in a manifest's trigger_events.")
    cesql = models.TextField(blank=True, help_text="Instead of a filter: an expression.")
    aggregate = models.CharField(
        max_length=7, choices=[(one, one) for one in chart_sums.AGGREGATES], default=chart_sums.COUNT
    )
    value_path = models.CharField(max_length=200, blank=True, help_text="Of the number: data.total.")
    group_path = models.CharField(max_length=200, blank=True, help_text="Grouped by it: data.shop.")
    groups_shown = models.PositiveIntegerField(
        default=8, validators=[MinValueValidator(1), MaxValueValidator(chart_sums.MOST_SHOWN)]
    )

    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.CASCADE, related_name="charts"
    )
    metric = models.CharField(max_length=100, blank=True, help_text="A name that it records.")
    artifact = models.CharField(max_length=255, blank=True, help_text="A file that it leaves: chart.json.")

    url = models.CharField(max_length=pushing.MAX_URL, blank=True)
    every_minutes = models.PositiveIntegerField(
        default=15, validators=[MinValueValidator(1), MaxValueValidator(1440)], help_text="Asked so often."
    )
    header = models.CharField(max_length=100, blank=True, help_text="Sent along, with a secret as its value.")
    header_secret = models.CharField(
        max_length=255, blank=True, help_text="The secret of the project, or of the platform."
    )

    created_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "executions"
        ordering = ["position", "id"]
        indexes = [models.Index(fields=["project", "position", "id"], name="chart_place")]

    def __str__(self) -> str:
        return self.title


OF_ALL: Final = ("title", "description", "kind", "width", "period", "unit", "source")
OF_SOURCE: Final[Mapping[str, tuple[str, ...]]] = {
    Chart.Source.EVENTS: (
        *("event_type", "filter", "cesql", "aggregate", "value_path", "group_path", "groups_shown"),
    ),
    Chart.Source.METRICS: ("service", "metric", "aggregate", "groups_shown"),
    Chart.Source.ARTIFACT: ("service", "artifact"),
    Chart.Source.URL: ("url", "every_minutes", "header", "header_secret"),
}
"""What a chart says of where it comes from, by source; what another source would need is not kept."""


class ChartFeed(models.Model):
    """How far a chart has come: what of the journal's past it holds, and what it was told last."""

    chart = models.OneToOneField(Chart, primary_key=True, on_delete=models.CASCADE, related_name="feed")
    revision = models.PositiveBigIntegerField(
        default=0, help_text="Events that were matched with this catalog or a newer one come as entries."
    )
    groups = models.JSONField(default=list, help_text="Those that are added up by themselves.")
    counted = models.PositiveBigIntegerField(default=0)
    left_out = models.PositiveBigIntegerField(default=0, help_text="Events without a number at the path.")

    filled = models.BooleanField(default=True, help_text="Nothing of the past is left to be counted.")
    fill_since = models.DateTimeField(null=True)
    fill_until = models.DateTimeField(null=True)
    place_at = models.DateTimeField(null=True)
    place_key = models.UUIDField(null=True)

    answer = models.JSONField(null=True, help_text="The last chart JSON that was good.")
    answered_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True, help_text="When the URL was asked last, with its secret.")
    execution = models.UUIDField(null=True, help_text="Whose artifact was looked at last.")
    problem = models.CharField(max_length=500, blank=True)
    failing_since = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True, help_text="Its URL is asked then; while it is: when to give up.")
    claim = models.CharField(max_length=32, blank=True)

    class Meta:
        app_label = "executions"
        ordering = ["chart"]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="chart_due"),
            models.Index(fields=["chart"], condition=Q(filled=False), name="chart_unfilled"),
        ]

    def __str__(self) -> str:
        return f"feed of {self.chart_id}"


class ChartEntry(models.Model):
    """An event that some chart counts and that was not counted yet: written with the event itself."""

    key = models.UUIDField(primary_key=True, help_text="The event's.")

    class Meta:
        app_label = "executions"
        verbose_name_plural = "chart entries"

    def __str__(self) -> str:
        return str(self.key)


class ChartSum(models.Model):
    """The events of one group within one hour or day (UTC), added up."""

    id = models.UUIDField(primary_key=True, help_text="uuid5 of chart, span, start and group.")
    chart = models.ForeignKey(Chart, on_delete=models.CASCADE, related_name="sums", db_index=False)
    span = models.CharField(max_length=4, choices=Rollup.Span)
    start = models.DateTimeField()
    group = models.CharField(max_length=100, blank=True)
    rest = models.BooleanField(default=False, help_text="Of all groups that have no sums of their own.")
    count = models.PositiveBigIntegerField(default=0)
    total = models.FloatField(default=0)
    least = models.FloatField()
    most = models.FloatField()
    last = models.FloatField()
    last_at = models.DateTimeField()

    class Meta:
        app_label = "executions"
        ordering = ["start", "id"]
        indexes = [
            models.Index(fields=["chart", "span", "start"], name="chart_sum_chart"),
            models.Index(fields=["span", "start"], name="chart_sum_age"),
        ]

    def __str__(self) -> str:
        return f"{self.count} in the {self.span} of {self.start}"
