"""What decides when executions of a service start."""

from __future__ import annotations

from django.db import models

from ferris_web.catalog.models import Service


class Pace(models.Model):
    """How long the last runs of a service took, for services of which one was slow lately; others have no row."""

    service = models.OneToOneField(Service, primary_key=True, on_delete=models.CASCADE, related_name="pace")
    last_seconds = models.JSONField(default=list, help_text="The latest last.")

    def __str__(self) -> str:
        return f"pace of {self.service}"


class Gate(models.Model):
    """Where executions of a service wait to be admitted. Who admits holds its row: one at a time, of all gateways."""

    service = models.OneToOneField(Service, primary_key=True, on_delete=models.CASCADE, related_name="+")
    opens_at = models.DateTimeField(
        null=True, blank=True, db_index=True, help_text="When its rate lets the next one start."
    )

    def __str__(self) -> str:
        return f"gate of {self.service}"
