"""The catalog: projects, their services and versions, triggers, schedules, secrets, configuration."""

from __future__ import annotations

import uuid

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

# Models of an app are found in this module.
from ferris_web.catalog.notification_models import NotificationRule as NotificationRule
from ferris_web.catalog.repository_models import Repository as Repository
from ferris_web.catalog.repository_models import RepositorySecret as RepositorySecret
from ferris_web.catalog.repository_models import SyncRun as SyncRun
from ferris_web.catalog.run_models import SavedRun as SavedRun
from ferris_web.catalog.secret_models import SecretUse as SecretUse
from ferris_web.catalog.subscription_models import Subscription as Subscription
from ferris_web.catalog.value_models import ValueChange as ValueChange
from ferris_web.catalog.webhook_models import Webhook as Webhook
from ferris_web.catalog.webhook_models import WebhookDelivery as WebhookDelivery


class Project(models.Model):
    """A team's set of services, kept in one or more repositories."""

    name = models.SlugField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


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


class OutputEvent(models.Model):
    """An event type that a service's manifest says it sends."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="output_events")
    event_type = models.CharField(max_length=512, db_index=True)

    class Meta:
        ordering = ["service", "event_type"]
        constraints = [models.UniqueConstraint(fields=["service", "event_type"], name="output_event_once")]

    def __str__(self) -> str:
        return f"{self.service} → {self.event_type}"


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


class Secret(models.Model):
    """A secret value, encrypted at rest. A service sees its own, then its project's, then the platform's."""

    class Scope(models.TextChoices):
        PLATFORM = "platform"
        PROJECT = "project"
        SERVICE = "service"

    scope = models.CharField(max_length=10, choices=Scope)
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="secrets"
    )
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.CASCADE, related_name="secrets"
    )
    name = models.CharField(max_length=255)
    ciphertext = models.TextField(editable=False)
    synced = models.BooleanField(
        default=False, help_text="From a secrets.json; a sync may change or remove it."
    )
    set_by = models.CharField(max_length=200, blank=True, default="", help_text="Who, or which service.")
    set_execution = models.UUIDField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["scope", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(scope="platform"), name="platform_secret_once"
            ),
            models.UniqueConstraint(
                fields=["project", "name"], condition=Q(scope="project"), name="project_secret_once"
            ),
            models.UniqueConstraint(
                fields=["service", "name"], condition=Q(scope="service"), name="service_secret_once"
            ),
            models.CheckConstraint(
                condition=Q(scope="platform", project=None, service=None)
                | Q(scope="project", project__isnull=False, service=None)
                | Q(scope="service", project=None, service__isnull=False),
                name="secret_scope",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.scope})"


class Connection(models.Model):
    """A database that .sql scripts of some projects may use. Its URL is encrypted like a secret."""

    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", "Letters, digits, dots, dashes and underscores only."
            )
        ],
        help_text="What scripts call it: -- connection: NAME",
    )
    description = models.CharField(max_length=300, blank=True)
    ciphertext = models.TextField(editable=False)
    shown = models.CharField(
        max_length=2000, editable=False, verbose_name="URL", help_text="Without the password."
    )
    read_only = models.BooleanField(
        default=False, help_text="Scripts may not change anything, whatever their manifest says."
    )
    every_project = models.BooleanField(default=False, help_text="Every project may use it.")
    projects = models.ManyToManyField(
        Project, blank=True, related_name="connections", help_text="These projects may use it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "database connection"

    def __str__(self) -> str:
        return self.name


class Schedule(models.Model):
    """When a service runs by the clock. The one scheduler of the gateway turns due rows into events."""

    class Origin(models.TextChoices):
        MANIFEST = "manifest"
        SCRIPT = "script"
        PERSON = "person"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="schedules")
    origin = models.CharField(max_length=10, choices=Origin)
    name = models.CharField(max_length=512, blank=True, help_text="Event name the script sees; may be empty.")
    cron = models.CharField(max_length=255)
    timezone = models.CharField(max_length=64, default="UTC")
    parameters = models.JSONField(default=dict, blank=True)
    once = models.BooleanField(default=False)
    # "retried" when a script asked for another run of itself (context.scheduler.retry), else "scheduled"
    trigger_type = models.CharField(max_length=10, default="scheduled")
    flow_id = models.CharField(
        max_length=255, blank=True, help_text="Set when its runs belong to an existing flow."
    )
    parent_execution = models.UUIDField(null=True, blank=True)
    active = models.BooleanField(default=True)
    next_due_at = models.DateTimeField(null=True, blank=True)
    last_due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["next_due_at", "id"]
        indexes = [models.Index(fields=["next_due_at"], condition=Q(active=True), name="schedule_due")]

    def __str__(self) -> str:
        return f"{self.service} at {self.cron} ({self.timezone})"


class PromiseRule(models.Model):
    """A promise as a project's ferris.json makes it. One that is changed there is another: the old one has vanished."""

    id = models.UUIDField(primary_key=True, help_text="uuid5 of its repository and all it says.")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="promises")
    repository = models.ForeignKey(
        Repository, null=True, blank=True, on_delete=models.SET_NULL, related_name="promises"
    )
    name = models.CharField(max_length=200)
    rule = models.JSONField(help_text="As ferris.promises has it: after, expect, within (seconds), by.")
    vanished_at = models.DateTimeField(
        null=True, blank=True, help_text="Set when the project no longer makes it."
    )

    class Meta:
        ordering = ["project", "name", "id"]

    def __str__(self) -> str:
        return f"{self.name} of {self.project}"


class KeyValue(models.Model):
    """Configuration and state when no Consul holds them. Written by ferris.adapters.database_config only."""

    key = models.CharField(max_length=512, primary_key=True)
    value = models.BinaryField()
    modify_index = models.BigIntegerField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "key values"

    def __str__(self) -> str:
        return self.key


class Revision(models.Model):
    """One row: counts the changes of what the router needs to know. Written in the same transaction as the change."""

    number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)
