"""What binds services to event types, as it stands."""

from __future__ import annotations

from django.db import models

from ferris_web.catalog.models import Service


class Binding(models.Model):
    """A service sends an event type, or the type triggers it: in its manifest, or as it was seen lately.
    `services.bonds` writes it, soon after the catalog or what runs has changed."""

    class Kind(models.TextChoices):
        SENDS = "sends"
        TRIGGERS = "triggers"

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind)
    event_type = models.CharField(max_length=512, help_text="A type, or a pattern.")
    declared = models.BooleanField(help_text="In its manifest.")
    seen = models.PositiveIntegerField(
        default=0, help_text="How often among the latest executions and events."
    )
    pattern = models.CharField(
        max_length=512,
        blank=True,
        help_text="That of the manifest, if it says the type by a pattern only. The row whose type is the pattern "
        "itself is for who sees no type that fits.",
    )

    class Meta:
        app_label = "executions"
        ordering = ["service", "kind", "event_type"]
        constraints = [models.UniqueConstraint(fields=["service", "kind", "event_type"], name="binding_once")]
        indexes = [models.Index(fields=["event_type", "service"], name="binding_type")]

    def __str__(self) -> str:
        return f"{self.service} {self.kind} {self.event_type}"


class BindingsMark(models.Model):
    """One row: which revision of the catalog the bindings are of, when they were written, and what they come to."""

    revision = models.PositiveBigIntegerField(default=0)
    at = models.DateTimeField(null=True)
    overview = models.JSONField(default=dict, help_text="As `system_map.Overview` of all services.")

    class Meta:
        app_label = "executions"

    def __str__(self) -> str:
        return f"{self.revision} at {self.at}"
