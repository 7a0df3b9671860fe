"""What ran: executions, their steps, and what these left."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ferris.artifacts import key_of
from ferris_web.catalog.models import Project, Service, ServiceVersion
from ferris_web.executions.models.events import Event
from ferris_web.executions.models.failures import FailureKind

STATUSES = [
    (s, s) for s in ("pending", "queued", "in_progress", "completed", "failed", "cancelled", "skipped")
]


TRIGGER_TYPES = [(t, t) for t in ("manual", "scheduled", "triggered", "retried")]


LANES = [(lane, lane) for lane in ("priority", "default", "slow", "scheduled")]


OPEN = ("pending", "queued", "in_progress")


class Execution(models.Model):
    """One run of one service for one event: the truth about it. Doorbells and reports come and go."""

    id = models.UUIDField(
        primary_key=True, help_text="uuid5 of event and service: one event runs a service once."
    )
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="executions")
    version = models.ForeignKey(ServiceVersion, on_delete=models.PROTECT, related_name="executions")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="executions")
    flow_id = models.CharField(max_length=512)
    sequence = models.PositiveIntegerField()
    correlation_id = models.CharField(max_length=600, db_index=True)
    parent_id = models.UUIDField(
        null=True, blank=True, db_index=True, help_text="Execution that sent the event."
    )
    trigger_type = models.CharField(max_length=10, choices=TRIGGER_TYPES)
    status = models.CharField(max_length=12, choices=STATUSES)
    lane = models.CharField(max_length=10, choices=LANES)
    lane_reason = models.CharField(max_length=20, blank=True, help_text="Why this lane: a key of lanes.WHY.")
    priority = models.PositiveSmallIntegerField(default=5)
    priority_from = models.CharField(
        max_length=10, blank=True, help_text="Where that comes from: a key of precedence.PRIORITY_FROM."
    )
    project = models.ForeignKey(
        Project,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="Its service's: who sees it, and whose turn it is in a lane.",
    )
    share_key = models.CharField(
        max_length=200,
        blank=True,
        help_text="Whose fair share it is, within its service: a key of its event.",
    )
    turn = models.PositiveBigIntegerField(
        default=0, help_text="While it waits: its place among those of equal priority, see `services.turns`."
    )
    attempt = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True, blank=True, help_text="Waits until then.")
    rung_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Its doorbell rang last. Queued and empty: it waits for room in its lane.",
    )
    slot = models.CharField(  # noqa: DJ001 - the empty key is one, too
        max_length=200,
        null=True,
        blank=True,
        help_text="Whose concurrency it counts for: a key from its event. None: its service had no limits.",
    )
    rate_key = models.CharField(  # noqa: DJ001 - as above
        max_length=200, null=True, blank=True, help_text="Whose rate it counts for. None: no rate."
    )
    claimed_at = models.DateTimeField(null=True, blank=True, help_text="An executor took it last.")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    worker = models.CharField(max_length=255, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    progress = models.JSONField(
        null=True, blank=True, help_text="What the attempt's script said last: done, total, message, at."
    )
    gathering_id = models.UUIDField(
        null=True, blank=True, help_text="What it was gathered in, when it runs for more than its event."
    )
    counted = models.BooleanField(
        null=True, editable=False, help_text="Once it has ended: it is in the roll-ups."
    )
    failure = models.ForeignKey(
        FailureKind,
        null=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="Of one that failed and was not retried, once it was looked at: how.",
    )
    retried = models.BooleanField(
        null=True, editable=False, help_text="It failed, and another ran in its place."
    )

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"]),
            models.Index(fields=["service", "-created_at", "-id"]),
            models.Index(fields=["status", "-created_at", "-id"]),
            models.Index(fields=["flow_id", "sequence"]),
            models.Index(fields=["flow_id", "project"], name="execution_flow_project"),
            # What lists are filtered by: a value that is rare, or that nothing has, is not looked for in all rows.
            models.Index(fields=["project", "-created_at", "-id"], name="execution_project"),
            models.Index(  # few have one; with all that a histogram of them asks for, so that no row is looked up
                fields=["reason", "-created_at", "-id", "status", "trigger_type", "lane", "project"],
                condition=Q(reason__gt=""),
                name="execution_reason",
            ),
            models.Index(
                fields=["lane", "-created_at", "-id"], condition=Q(lane__gt=""), name="execution_lane"
            ),
            models.Index(
                fields=["trigger_type", "-created_at", "-id"],
                condition=Q(trigger_type__gt=""),
                name="execution_trigger",
            ),
            models.Index(
                fields=["failure", "-created_at", "-id"],
                condition=Q(failure__isnull=False),
                name="execution_failure",
            ),
            models.Index(  # with all three as columns, or SQLite takes the index of the status and looks at each
                fields=["status", "failure", "retried", "-created_at"],
                condition=Q(status="failed", failure=None, retried=None),
                name="execution_unsorted",
            ),
            # What the gateway looks for again and again, among few rows. Each condition is one value: SQLite uses
            # no index whose condition it would have to reason about.
            models.Index(fields=["lane", "rung_at"], condition=Q(status="queued"), name="execution_rung"),
            models.Index(fields=["lease_until"], condition=Q(status="in_progress"), name="execution_leased"),
            models.Index(fields=["not_before"], condition=Q(status="pending"), name="execution_due"),
            models.Index(
                fields=["lane", "project", "priority", "turn", "created_at", "id"],
                condition=Q(status="queued", rung_at=None),
                name="execution_unrung",
            ),
            models.Index(
                fields=["lane", "service", "share_key", "priority", "turn"],
                condition=Q(status="queued", rung_at=None),
                name="execution_unrung_share",
            ),
            models.Index(
                fields=["service", "slot", "rate_key", "priority", "turn", "created_at", "id"],
                condition=Q(status="pending"),
                name="execution_held",
            ),
            models.Index(
                fields=["service", "priority", "turn"],
                condition=Q(status="pending"),
                name="execution_held_turn",
            ),
            models.Index(
                fields=["service", "share_key", "priority", "turn"],
                condition=Q(status="pending"),
                name="execution_held_share",
            ),
            models.Index(
                fields=["service", "status", "slot"],
                condition=Q(slot__isnull=False),
                name="execution_slot",
            ),
            models.Index(
                fields=["service", "rate_key", "claimed_at"],
                condition=Q(rate_key__isnull=False),
                name="execution_rate",
            ),
            models.Index(
                fields=["-finished_at"],
                condition=Q(counted=None, finished_at__isnull=False),
                name="execution_uncounted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service} {self.correlation_id}"


class Step(models.Model):
    """One script of one attempt of an execution."""

    class Status(models.TextChoices):
        IN_PROGRESS = "in_progress"
        COMPLETED = "completed"
        FAILED = "failed"

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="steps")
    attempt = models.PositiveIntegerField()
    index = models.PositiveIntegerField()
    script = models.CharField(max_length=512)
    status = models.CharField(max_length=12, choices=Status)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    signal = models.CharField(max_length=20, blank=True)
    error = models.TextField(blank=True)
    # The first rows of its queries, see tasks.tables: [{"columns", "rows", "count", "truncated", "file", "line"}]
    tables = models.JSONField(null=True, blank=True)
    exit_reason = models.CharField(max_length=300, blank=True, help_text="How it ended, in plain words.")
    wall_ms = models.BigIntegerField(null=True, blank=True, help_text="From its first line to its end.")
    cpu_ms = models.BigIntegerField(null=True, blank=True)
    memory_bytes = models.BigIntegerField(null=True, blank=True, help_text="Most that was in use at once.")
    memory_of = models.CharField(
        max_length=20, blank=True, help_text="What that counts: its largest process, or all of the execution."
    )
    output_bytes = models.BigIntegerField(null=True, blank=True, help_text="What it printed.")
    snapshot = models.JSONField(
        null=True,
        blank=True,
        help_text="Of a step that failed: what is kept of what earlier ones left (day, size, files), or `problem`.",
    )
    isolation = models.JSONField(
        default=dict, help_text="The level, the layers, and those its executor lacks."
    )
    config_marks = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="Of an attempt's first: the marks of the configurations that it was given, by whose they are.",
    )

    class Meta:
        ordering = ["attempt", "index"]
        constraints = [models.UniqueConstraint(fields=["execution", "attempt", "index"], name="step_once")]

    def __str__(self) -> str:
        return f"{self.script} of {self.execution_id}"


class Artifact(models.Model):
    """A file that a step left behind. Its content lies in the object store, see `ferris.artifacts`."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="artifacts")
    attempt = models.PositiveIntegerField()
    step = models.PositiveIntegerField(help_text="The index of the step.")
    script = models.CharField(max_length=512)
    name = models.CharField(max_length=255, help_text="Folders included: charts/a.png.")
    content_type = models.CharField(max_length=255)
    size = models.BigIntegerField(help_text="In bytes.")
    day = models.CharField(max_length=10, db_index=True, help_text="When it was stored: its key begins so.")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["attempt", "step", "name"]
        constraints = [
            models.UniqueConstraint(fields=["execution", "attempt", "step", "name"], name="artifact_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.execution_id}"

    @property
    def key(self) -> str:
        """Where its content lies in the bucket."""
        return key_of(self.day, str(self.execution_id), self.attempt, self.step, self.name)
