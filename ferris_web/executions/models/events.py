"""What came: the journal of events, their flows, dead letters."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Flow(models.Model):
    """All that grew out of one originating event."""

    id = models.CharField(primary_key=True, max_length=512)
    started_at = models.DateTimeField(db_index=True)
    last_event_at = models.DateTimeField()
    root_type = models.CharField(max_length=512)
    sequence = models.PositiveIntegerField(default=0, help_text="The number its latest execution got.")

    class Meta:
        ordering = ["-started_at"]
        indexes = [models.Index(fields=["root_type", "-started_at", "-id"], name="flow_root_type")]

    def __str__(self) -> str:
        return self.id


class Event(models.Model):
    """An event as the router took it from the log. Identified by (source, id), as CloudEvents says."""

    key = models.UUIDField(primary_key=True, help_text="uuid5 of source and id.")
    event_id = models.CharField(max_length=512, db_index=True)
    source = models.CharField(max_length=512)
    type = models.CharField(max_length=512)
    subject = models.CharField(max_length=512, blank=True)
    time = models.DateTimeField()
    received_at = models.DateTimeField()
    flow_id = models.CharField(max_length=512, db_index=True)
    causation_id = models.CharField(max_length=512, blank=True)
    hops = models.PositiveIntegerField(default=0)
    datacontenttype = models.CharField(max_length=255, blank=True)
    data = models.JSONField(null=True)
    extensions = models.JSONField(default=dict)
    fingerprint = models.CharField(
        max_length=64, help_text="SHA-256 of type, subject and data: tells a conflict from a copy."
    )
    topic = models.CharField(max_length=255)
    partition = models.IntegerField(default=0)
    offset = models.BigIntegerField()
    revision = models.PositiveBigIntegerField(
        default=0, help_text="The catalog's revision it was matched with."
    )
    matched = models.PositiveIntegerField(default=0, help_text="How many services it triggered.")
    copies = models.PositiveIntegerField(default=0, help_text="How often it came again.")
    replay_id = models.UUIDField(null=True, blank=True, help_text="The replay that sent it.")

    class Meta:
        ordering = ["-received_at", "-key"]
        indexes = [
            models.Index(fields=["replay_id"], condition=Q(replay_id__isnull=False), name="event_replay"),
            models.Index(fields=["-received_at", "-key"]),
            models.Index(fields=["type", "-received_at", "-key"]),
            models.Index(fields=["source", "-received_at", "-key"], name="event_source"),
            models.Index(
                fields=["subject", "-received_at", "-key"], condition=Q(subject__gt=""), name="event_subject"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class DeadLetter(models.Model):
    """A record that could not be handled: where it came from, why, and its bytes."""

    topic = models.CharField(max_length=255)
    partition = models.IntegerField(default=0)
    offset = models.BigIntegerField()
    reason = models.CharField(max_length=60, db_index=True)
    detail = models.TextField()
    event_type = models.CharField(max_length=512, blank=True)
    event_id = models.CharField(max_length=512, blank=True)
    flow_id = models.CharField(max_length=512, blank=True)
    value = models.BinaryField()
    headers = models.JSONField(
        default=dict,
        blank=True,
        help_text="The record's own: an event in binary mode has its attributes there.",
    )
    created_at = models.DateTimeField(db_index=True)
    redriven_at = models.DateTimeField(null=True, blank=True, help_text="Sent on its way again.")

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["topic", "partition", "offset"], name="dead_letter_once")
        ]

    def __str__(self) -> str:
        return f"{self.reason} at {self.topic}:{self.offset}"
