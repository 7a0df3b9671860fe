"""Runs that people keep under a name."""

from __future__ import annotations

from django.db import models


class SavedRun(models.Model):
    """Parameters of a run of one service, to be run again, by everybody who may run it."""

    service = models.ForeignKey("catalog.Service", on_delete=models.CASCADE, related_name="saved_runs")
    name = models.CharField(max_length=100)
    values = models.JSONField(default=dict, help_text="As scripts get them.")
    saved_by = models.CharField(max_length=150, blank=True)
    saved_at = models.DateTimeField()

    class Meta:
        ordering = ["service", "name"]
        constraints = [models.UniqueConstraint(fields=["service", "name"], name="saved_run_once")]

    def __str__(self) -> str:
        return f"{self.name} of {self.service}"
