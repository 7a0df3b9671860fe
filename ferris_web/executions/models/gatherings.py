"""What is open between events and executions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ferris import gathering, intake
from ferris_web.catalog.models import Service
from ferris_web.executions.models.events import Event

KINDS = [(kind, kind) for kind in intake.RULES]


GATHERING_STATES = [(state, state) for state in gathering.STATES]


GATHERED = [(decision, decision) for decision in gathering.DECISIONS]


class Gathering(models.Model):
    """What is open, or was, between events and executions: for one service, one kind of rule and one key.

    One at a time is open in a slot. `rule` is the manifest's as it was when an event last touched it.
    """

    id = models.UUIDField(primary_key=True, help_text="uuid5 of its slot and its first event.")
    slot = models.UUIDField(
        help_text="uuid5 of service, kind, key, and what of the rule its events depend on."
    )
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="gatherings")
    kind = models.CharField(max_length=12, choices=KINDS)
    key = models.CharField(max_length=255, blank=True)
    rule = models.JSONField()
    state = models.CharField(max_length=10, choices=GATHERING_STATES)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(
        null=True, blank=True, help_text="When the clock closes it, or looks again."
    )
    until = models.DateTimeField(null=True, blank=True, help_text="When its window ends.")
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(
        max_length=150, blank=True, help_text="Who closed or discarded it before its time."
    )
    first_event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="+")
    last_event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="+")
    size = models.PositiveIntegerField(default=0, help_text="How many events are in it.")
    bytes = models.PositiveBigIntegerField(default=0)
    held = models.PositiveIntegerField(default=0, help_text="How many of them wait to be let through.")
    passes = models.JSONField(default=list, help_text="When a throttle let events through, in milliseconds.")
    execution_id = models.UUIDField(null=True, blank=True, db_index=True, help_text="What it became.")

    class Meta:
        ordering = ["-opened_at", "-id"]
        indexes = [
            models.Index(fields=["-opened_at", "-id"]),
            models.Index(fields=["service", "-opened_at", "-id"]),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="gathering_due"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["slot"], condition=Q(state="open"), name="gathering_open_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} of {self.service}"


class GatheredEvent(models.Model):
    """What became of an event that did not simply run a service: its one decision there."""

    gathering = models.ForeignKey(Gathering, on_delete=models.CASCADE, related_name="members")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="+")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="gathered")
    decision = models.CharField(max_length=10, choices=GATHERED)
    entries = models.PositiveIntegerField(
        default=0, help_text="A bit for each entry of a join that it matches."
    )
    at = models.DateTimeField(help_text="When it came onto the log.")
    execution_id = models.UUIDField(
        null=True,
        blank=True,
        db_index=True,
        help_text="Of one that was held: its own, once it was let through.",
    )

    class Meta:
        ordering = ["gathering", "id"]
        constraints = [models.UniqueConstraint(fields=["event", "service"], name="gathered_once")]
        indexes = [models.Index(fields=["gathering", "decision", "id"])]

    def __str__(self) -> str:
        return f"{self.event_id} {self.decision}"
