"""Executors as processes, and lanes in which none is rung for."""

from __future__ import annotations

from django.db import models

from ferris_web.executions.models.executions import LANES


class Worker(models.Model):
    """An executor's process, as its heartbeats tell. What it runs are the executions that name it."""

    name = models.CharField(primary_key=True, max_length=255)
    lanes = models.JSONField(default=list)
    slots = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    stops = models.BooleanField(default=False, help_text="It was told to end, and finishes what runs.")
    drain_at = models.DateTimeField(null=True, blank=True, help_text="It takes nothing new since then.")
    drain_by = models.CharField(max_length=150, blank=True)
    isolation = models.JSONField(
        default=dict, help_text="How it confines scripts: level, layers, what is lacking and why."
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class LanePause(models.Model):
    """A lane in which no doorbell rings until the row is gone."""

    lane = models.CharField(primary_key=True, max_length=10, choices=LANES)
    paused_at = models.DateTimeField()
    paused_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return self.lane
