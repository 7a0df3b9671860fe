"""What scripts record by `context.metrics`, added up."""

from __future__ import annotations

from django.db import models

from ferris_web.catalog.models import Service
from ferris_web.executions.models.rollups import Rollup


class MetricSeries(models.Model):
    """The values of one name with the same labels, of one service: a line of a chart."""

    id = models.UUIDField(primary_key=True, help_text="uuid5 of service, name and labels.")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="metrics")
    name = models.CharField(max_length=100)
    labels = models.JSONField(default=dict)
    unit = models.CharField(max_length=100, blank=True, help_text="Of its last value.")
    last_value = models.FloatField()
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        app_label = "executions"
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return f"{self.name} of {self.service_id}"


class MetricPoint(models.Model):
    """That a value was added up; kept as long as it may come again."""

    id = models.UUIDField(primary_key=True, help_text="The key of its event.")
    taken_at = models.DateTimeField(db_index=True)

    class Meta:
        app_label = "executions"

    def __str__(self) -> str:
        return str(self.id)


class MetricRollup(models.Model):
    """The values of a series within one hour or day (UTC)."""

    id = models.UUIDField(primary_key=True, help_text="uuid5 of series, span and start.")
    series = models.ForeignKey(MetricSeries, on_delete=models.CASCADE, related_name="rollups", db_index=False)
    span = models.CharField(max_length=4, choices=Rollup.Span)
    start = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=0)
    total = models.FloatField(default=0)
    least = models.FloatField()
    most = models.FloatField()
    last_value = models.FloatField()
    last_at = models.DateTimeField()

    class Meta:
        app_label = "executions"
        ordering = ["start", "id"]
        indexes = [
            models.Index(fields=["series", "span", "start"], name="metric_rollup_series"),
            models.Index(fields=["span", "start"], name="metric_rollup_age"),
        ]

    def __str__(self) -> str:
        return f"{self.count} in the {self.span} of {self.start}"
