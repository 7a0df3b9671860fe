"""Executions that failed alike."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ferris_web.catalog.models import Project, Service


class FailureKind(models.Model):
    """Failed executions of one service, for one reason, whose errors have one fingerprint, and which nobody retried.
    They refer to it. `services.failure_kinds` writes it."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="+", db_index=False)
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_index=False, help_text="The service's."
    )
    reason = models.CharField(max_length=40, blank=True)
    kind = models.CharField(max_length=12, help_text="The fingerprint of their errors.")
    error = models.CharField(max_length=300, blank=True, help_text="What their errors have in common.")
    last_at = models.DateTimeField(null=True, help_text="When the latest was made. None: all were retried.")

    class Meta:
        app_label = "executions"
        ordering = ["-last_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["service", "reason", "kind"], name="failure_kind_once")
        ]
        indexes = [
            models.Index(fields=["-last_at", "id"], condition=Q(last_at__isnull=False), name="failure_last"),
            models.Index(
                fields=["project", "-last_at", "id"],
                condition=Q(last_at__isnull=False),
                name="failure_its_last",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.error}"
