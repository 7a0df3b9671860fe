"""What happened: the journal of events, flows, executions with their steps, dead letters."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from ferris import gathering, intake, promises
from ferris.artifacts import key_of
from ferris_web.catalog.models import Project, PromiseRule, Service, ServiceVersion

# Models of an app are found in this module.
from ferris_web.executions.bulk_models import BulkJob as BulkJob
from ferris_web.executions.chart_models import Chart as Chart
from ferris_web.executions.chart_models import ChartEntry as ChartEntry
from ferris_web.executions.chart_models import ChartFeed as ChartFeed
from ferris_web.executions.chart_models import ChartSum as ChartSum
from ferris_web.executions.delivery_models import Delivery as Delivery
from ferris_web.executions.delivery_models import DeliveryAttempt as DeliveryAttempt
from ferris_web.executions.metric_models import MetricPoint as MetricPoint
from ferris_web.executions.metric_models import MetricRollup as MetricRollup
from ferris_web.executions.metric_models import MetricSeries as MetricSeries
from ferris_web.executions.notification_models import Notice as Notice
from ferris_web.executions.notification_models import Notification as Notification
from ferris_web.executions.rollup_models import Rollup as Rollup
from ferris_web.executions.rollup_models import Standing as Standing
from ferris_web.executions.view_models import DefaultView as DefaultView
from ferris_web.executions.view_models import SavedView as SavedView

STATUSES = [
    (s, s) for s in ("pending", "queued", "in_progress", "completed", "failed", "cancelled", "skipped")
]
TRIGGER_TYPES = [(t, t) for t in ("manual", "scheduled", "triggered", "retried")]
LANES = [(lane, lane) for lane in ("priority", "default", "slow", "scheduled")]
OPEN = ("pending", "queued", "in_progress")
KINDS = [(kind, kind) for kind in intake.RULES]
GATHERING_STATES = [(state, state) for state in gathering.STATES]
PROMISE_STATES = [(state, state) for state in promises.STATES]
GATHERED = [(decision, decision) for decision in gathering.DECISIONS]


class Flow(models.Model):
    """All that grew out of one originating event."""

    id = models.CharField(primary_key=True, max_length=512)
    started_at = models.DateTimeField(db_index=True)
    last_event_at = models.DateTimeField()
    root_type = models.CharField(max_length=512)
    sequence = models.PositiveIntegerField(default=0, help_text="The number its latest execution got.")

    class Meta:
        ordering = ["-started_at"]

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
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


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
        help_text="Its service's: projects take turns in a lane.",
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
    rate_key = models.CharField(  # noqa: DJ001
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

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"]),
            models.Index(fields=["service", "-created_at", "-id"]),
            models.Index(fields=["status", "-created_at", "-id"]),
            models.Index(fields=["flow_id", "sequence"]),
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


class Worker(models.Model):
    """An executor's process, as its heartbeats tell. What it runs are the executions that name it."""

    name = models.CharField(primary_key=True, max_length=255)
    lanes = models.JSONField(default=list)
    slots = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    stops = models.BooleanField(default=False, help_text="It was told to end, and finishes what runs.")
    drain_at = models.DateTimeField(null=True, blank=True, help_text="It takes nothing new since then.")
    drain_by = models.CharField(max_length=150, blank=True)
    isolation = models.JSONField(
        default=dict, help_text="How it confines scripts: level, layers, what is lacking and why."
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class LanePause(models.Model):
    """A lane in which no doorbell rings until the row is gone."""

    lane = models.CharField(primary_key=True, max_length=10, choices=LANES)
    paused_at = models.DateTimeField()
    paused_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return self.lane


class Pace(models.Model):
    """How long the last runs of a service took, for services of which one was slow lately; others have no row."""

    service = models.OneToOneField(Service, primary_key=True, on_delete=models.CASCADE, related_name="pace")
    last_seconds = models.JSONField(default=list, help_text="The latest last.")

    def __str__(self) -> str:
        return f"pace of {self.service}"


class Gate(models.Model):
    """Where executions of a service wait to be admitted. Who admits holds its row: one at a time, of all gateways."""

    service = models.OneToOneField(Service, primary_key=True, on_delete=models.CASCADE, related_name="+")
    opens_at = models.DateTimeField(
        null=True, blank=True, db_index=True, help_text="When its rate lets the next one start."
    )

    def __str__(self) -> str:
        return f"gate of {self.service}"


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


class Promise(models.Model):
    """What one event has promised: that another one follows in time. One for each event that a promise begins with."""

    id = models.UUIDField(primary_key=True, help_text="uuid5 of its rule and the event that it began with.")
    rule = models.ForeignKey(PromiseRule, on_delete=models.CASCADE, related_name="given")
    slot = models.UUIDField(help_text="uuid5 of its rule and key: where its answer is looked for.")
    key = models.CharField(max_length=255, help_text="What both events share.")
    flow_id = models.CharField(max_length=512, db_index=True)
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="promises")
    state = models.CharField(max_length=9, choices=PROMISE_STATES)
    given_at = models.DateTimeField(help_text="When that event came onto the log.")
    due_at = models.DateTimeField()
    wakes_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the clock looks at it; empty once it is kept, or told to be late.",
    )
    answer_id = models.UUIDField(null=True, blank=True, help_text="The key of the event that kept it.")
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-given_at", "-id"]
        indexes = [
            models.Index(fields=["-given_at", "-id"]),
            models.Index(fields=["slot"], condition=Q(answered_at=None), name="promise_unanswered"),
            models.Index(fields=["wakes_at"], condition=Q(wakes_at__isnull=False), name="promise_wakes"),
            models.Index(fields=["due_at"], condition=Q(state="overdue"), name="promise_overdue"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.key}"


class Replay(models.Model):
    """Past events that are sent once more, and how far that has come. The gateway's replayer feeds the log."""

    class Status(models.TextChoices):
        RUNNING = "running"
        COMPLETED = "completed"
        STOPPED = "stopped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    service = models.ForeignKey(
        Service,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="replays",
        help_text="The one service they go to. Empty: to all that listen.",
    )
    event_type = models.CharField(max_length=512, default="*", help_text="Exact, 'prefix.*' or '*'.")
    filter = models.JSONField(null=True, blank=True)
    cesql = models.TextField(null=True, blank=True)  # noqa: DJ001 - none is not an empty expression
    flow_id = models.CharField(max_length=512, blank=True, help_text="Only events of this flow.")
    derived = models.BooleanField(default=False, help_text="Also events that executions sent.")
    since = models.DateTimeField()
    until = models.DateTimeField()
    before_revision = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Only events that were matched with an older catalog than this."
    )
    rate = models.FloatField(default=0, help_text="Events per second; 0: as fast as they are taken up.")
    expected = models.PositiveIntegerField(null=True, blank=True, help_text="As counted before it began.")
    place_at = models.DateTimeField(null=True, blank=True)
    place_key = models.UUIDField(null=True, blank=True)
    read = models.PositiveIntegerField(default=0, help_text="Events looked at.")
    sent = models.PositiveIntegerField(default=0, help_text="Events sent again.")
    fed_by = models.CharField(max_length=64, blank=True)
    fed_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"]),
            models.Index(fields=["fed_until"], condition=Q(status="running"), name="replay_running"),
        ]

    def __str__(self) -> str:
        return f"replay of {self.event_type} into {self.service or 'all services'}"
