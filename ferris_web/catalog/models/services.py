"""Services, their versions, and what their manifests say of events."""

from __future__ import annotations

import uuid

from django.db import models

from ferris_web.catalog.models.projects import Project
from ferris_web.catalog.models.repositories import Repository


class Service(models.Model):
    """A folder of scripts that events make run. Called package in users' scripts."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="services")
    repository = models.ForeignKey(
        Repository, null=True, blank=True, on_delete=models.SET_NULL, related_name="services"
    )
    name = models.CharField(
        max_length=200, unique=True, help_text="The folder's name; unique on the platform."
    )
    description = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    version = models.ForeignKey(
        "ServiceVersion",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="What runs now.",
    )
    active = models.BooleanField(
        default=True, help_text="As the manifest says. An inactive service is not triggered."
    )
    vanished_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Set when its folder was gone at a sync: it is kept but not triggered.",
    )
    priority = models.PositiveSmallIntegerField(default=5)
    allow_manual_triggering = models.BooleanField(default=True)
    limits = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="Its concurrency and rate, as the manifest of its version says.",
    )
    precedence = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="Where its priority and its fair share come from, as the manifest of its version says.",
    )
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when its executions are held back; empty: they run."
    )
    paused_by = models.CharField(max_length=150, blank=True)
    slow_since = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Most of its last runs took longer than FERRIS_SLOW_AFTER: it runs in the lane slow.",
    )
    intake = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="How its manifest thins, gathers or joins events before it runs; empty: each event runs it.",
    )
    config_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="SHA-256 of the config.json a sync last copied."
    )
    start_from = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Set when it is new and wants past events; empty as soon as their replay has begun.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def runs(self) -> bool:
        """True when events make it run."""
        return self.active and self.vanished_at is None and self.version_id is not None


class ServiceVersion(models.Model):
    """What a service was at one sync or after one edit: immutable, identified by the digest of its archive."""

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the archive, its key in the object store.")
    commit = models.CharField(max_length=64, blank=True)
    author = models.CharField(max_length=255, blank=True, help_text="Who made it: of the commit, or by name.")
    message = models.CharField(max_length=500, blank=True, help_text="What the author said about it.")
    manifest = models.JSONField(default=dict)  # ferris.manifest.Manifest as plain values
    parameters = models.JSONField(default=list)  # ferris.manifest.Parameter as plain values
    files = models.JSONField(default=list)  # [{"path", "size"}]
    requirements = models.TextField(blank=True)
    readme = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["service", "number"], name="service_version_number")]
        indexes = [models.Index(fields=["service", "digest"])]

    def __str__(self) -> str:
        return f"{self.service} v{self.number}"


class Trigger(models.Model):
    """One entry of a service's `trigger_events`, as its current version states it."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="triggers")
    position = models.PositiveIntegerField(default=0)
    event_type = models.CharField(max_length=512, db_index=True, help_text="Exact, 'prefix.*' or '*'.")
    filter = models.JSONField(null=True, blank=True)
    cesql = models.TextField(  # noqa: DJ001 - none is not an empty expression
        null=True, blank=True, help_text="An expression of CloudEvents SQL, instead of a filter."
    )

    class Meta:
        ordering = ["service", "position"]

    def __str__(self) -> str:
        return f"{self.event_type} → {self.service}"


class OutputEvent(models.Model):
    """An event type that a service's manifest says it sends."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="output_events")
    event_type = models.CharField(max_length=512, db_index=True)

    class Meta:
        ordering = ["service", "event_type"]
        constraints = [models.UniqueConstraint(fields=["service", "event_type"], name="output_event_once")]

    def __str__(self) -> str:
        return f"{self.service} → {self.event_type}"
