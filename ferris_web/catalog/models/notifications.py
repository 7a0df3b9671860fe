"""Rules that tell people of what happens."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from ferris import notifying


class NotificationRule(models.Model):
    """What of a project is told to whom. Its targets are encrypted and never shown."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        "catalog.Project", on_delete=models.CASCADE, related_name="notification_rules"
    )
    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", "Letters, digits, dots, dashes and underscores only."
            )
        ],
    )
    active = models.BooleanField(default=True)
    kind = models.CharField(max_length=30, choices=list(notifying.KINDS))
    service = models.CharField(
        max_length=255, blank=True, help_text="Only this service; empty: all of the project."
    )
    times = models.PositiveIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(100)], help_text="So many failures."
    )
    within_minutes = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(10_080)], help_text="Within so many minutes; 0: in a row."
    )
    quiet_minutes = models.PositiveIntegerField(
        default=15,
        validators=[MaxValueValidator(1_440)],
        help_text="After a message so long none; what happens meanwhile is told in one.",
    )
    targets = models.JSONField(default=list, blank=True, editable=False)  # [{"id", "shown"}]
    ciphertext = models.TextField(editable=False)  # {id: Apprise URL}
    quiet_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
