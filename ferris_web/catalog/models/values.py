"""The history of configuration and state."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class ValueChange(models.Model):
    """What one value of the configuration store was made, and by whom; the newest of a key has no `until`.

    Writes of one execution that follow closely are one change: it holds the last value, `since` is the first of them
    and `at` the last.
    """

    class Kind(models.TextChoices):
        STATE = "state"
        CONFIG = "config"
        ENV = "env", "ferris.env"

    class By(models.TextChoices):
        PERSON = "person"
        EXECUTION = "execution"
        SYNC = "sync"
        COMMAND = "command"
        OUTSIDE = "outside", "found in the store"

    key = models.CharField(max_length=512, help_text="In the configuration store.")
    number = models.PositiveIntegerField(help_text="Counts the changes of a key.")
    kind = models.CharField(max_length=10, choices=Kind)
    project = models.ForeignKey(
        "catalog.Project", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    service = models.ForeignKey(
        "catalog.Service", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    value = models.BinaryField(
        null=True, editable=False, help_text="Empty: removed, or not kept because a secret stands in it."
    )
    removed = models.BooleanField(default=False)
    masked = models.BooleanField(default=False, help_text="A secret stands in it: it is not kept.")
    size = models.PositiveIntegerField(default=0)
    mark = models.CharField(max_length=64, blank=True, help_text="Tells whether two values are equal.")
    since = models.DateTimeField()
    at = models.DateTimeField()
    writes = models.PositiveIntegerField(default=1)
    until = models.DateTimeField(null=True, blank=True)
    by = models.CharField(max_length=10, choices=By)
    actor = models.CharField(max_length=150, blank=True)
    execution = models.UUIDField(null=True, blank=True)

    class Meta:
        ordering = ["key", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["key", "number"], name="value_change_once"),
            models.UniqueConstraint(fields=["key"], condition=Q(until=None), name="value_change_newest"),
        ]
        indexes = [
            models.Index(fields=["key", "-at"], name="value_change_at"),
            models.Index(fields=["-at", "-id"], condition=Q(until=None), name="value_change_recent"),
            models.Index(fields=["until"], condition=Q(until__isnull=False), name="value_change_until"),
        ]

    def __str__(self) -> str:
        return f"{self.key} #{self.number}"
