"""What services were, from one revision of the catalog to another."""

from __future__ import annotations

from django.db import models

from ferris_web.catalog.models.services import Service, ServiceVersion


class ServiceHistory(models.Model):
    """What a service was from one revision of the catalog up to, not including, another.

    A row is closed and another begun when version, `active` or `vanished` change; nothing else ever changes it.
    """

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="history")
    since = models.PositiveBigIntegerField()
    until = models.PositiveBigIntegerField(null=True, blank=True, help_text="Empty: it is so now.")
    late = models.BooleanField(
        default=False, help_text="The service was there before, and what it was then is not known."
    )
    version = models.ForeignKey(ServiceVersion, on_delete=models.PROTECT, related_name="+")
    active = models.BooleanField()
    vanished = models.BooleanField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["service", "since"]
        verbose_name_plural = "service histories"
        constraints = [models.UniqueConstraint(fields=["service", "since"], name="service_history_once")]

    def __str__(self) -> str:
        return f"{self.service} from revision {self.since}"


class TriggerHistory(models.Model):
    """One trigger that a service had during an entry of its history."""

    entry = models.ForeignKey(ServiceHistory, on_delete=models.CASCADE, related_name="triggers")
    position = models.PositiveIntegerField()
    event_type = models.CharField(max_length=512, db_index=True)
    filter = models.JSONField(null=True, blank=True)
    cesql = models.TextField(null=True, blank=True)  # noqa: DJ001 - none is not an empty expression

    class Meta:
        ordering = ["entry", "position"]
        verbose_name_plural = "trigger histories"

    def __str__(self) -> str:
        return f"{self.event_type} → {self.entry}"


class Revision(models.Model):
    """One row: counts the changes of what the router needs to know. Written in the same transaction as the change."""

    number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)
