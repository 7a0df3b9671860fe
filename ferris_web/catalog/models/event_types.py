"""Event types, what their data look like, and what is made of them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class EventType(models.Model):
    """An event type that was seen on the log or is named in a manifest."""

    name = models.CharField(max_length=512, unique=True)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    count = models.PositiveBigIntegerField(default=0)
    first_seen_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    example = models.JSONField(null=True, blank=True)
    schema_number = models.PositiveIntegerField(
        default=0, help_text="The version of its schema that holds now; 0: none yet."
    )
    schema_learned = models.PositiveIntegerField(
        default=0, help_text="How many samples made that version, until there were enough."
    )
    strict = models.BooleanField(
        default=False,
        help_text="Events that do not fit the schema go to the dead letters; it changes no more.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class EventSchema(models.Model):
    """One version of what the data of an event type look like, inferred from samples.

    The latest is revised until it has seen enough samples; an earlier one never changes.
    """

    event_type = models.ForeignKey(EventType, on_delete=models.CASCADE, related_name="schemas")
    number = models.PositiveIntegerField()
    schema = models.JSONField(default=dict, help_text="JSON Schema.")
    changes = models.JSONField(
        default=list, help_text="Against the version before: path, kind, before, after."
    )
    breaking = models.BooleanField(default=False, help_text="Data came that did not fit the version before.")
    consumers = models.JSONField(
        default=list, help_text="Services that read a field that broke: service, reads, through."
    )
    sample = models.JSONField(default=dict, help_text="The event that made it: key, id, source.")
    told = models.BooleanField(
        default=True, help_text="False: the event that tells of it is still to be sent."
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["event_type", "-number"]
        constraints = [models.UniqueConstraint(fields=["event_type", "number"], name="event_schema_once")]
        indexes = [models.Index(fields=["told"], condition=Q(told=False), name="event_schema_untold")]

    def __str__(self) -> str:
        return f"{self.event_type} v{self.number}"


class EventMap(models.Model):
    """Each event of one type makes one of another."""

    source = models.CharField(max_length=512, db_index=True, help_text="An exact event type.")
    target = models.CharField(max_length=512)
    fields = models.JSONField(default=dict, help_text="Source field to target field.")
    strategy = models.CharField(max_length=6, help_text="mapped: only mapped fields; all: all fields.")
    constants = models.JSONField(default=dict)
    templates = models.JSONField(default=dict)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["source", "target"]
        constraints = [models.UniqueConstraint(fields=["source", "target"], name="event_map_once")]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"
