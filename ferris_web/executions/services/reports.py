"""What executors report becomes rows: the only place that moves an execution after its claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from ferris import lifecycle, retry
from ferris.adapters.inserts import Inserts
from ferris.adapters.prepared import Prepared
from ferris.events import Event
from ferris.lifecycle import Status
from ferris.retry import Retry
from ferris_web import wiring
from ferris_web.executions.models import Artifact, Execution, Step
from ferris_web.executions.services.admission import Slots
from ferris_web.executions.services.artifacts import artifacts_of
from ferris_web.executions.services.changes import Change
from ferris_web.executions.services.dispatch import Doorbell
from ferris_web.executions.services.endings import deliveries_of_endings
from ferris_web.executions.services.notices import notices_of_failures
from ferris_web.executions.services.paces import Run

_FIELDS = [
    "status",
    "attempt",
    "not_before",
    "rung_at",
    "started_at",
    "finished_at",
    "reason",
    "error",
    "lease_until",
    "progress",
]
_STEP_FIELDS = [
    *(
        "script",
        "status",
        "started_at",
        "finished_at",
        "exit_code",
        "signal",
        "error",
        "tables",
        "exit_reason",
        "snapshot",
    ),
    *("wall_ms", "cpu_ms", "memory_bytes", "memory_of", "output_bytes", "isolation", "config_marks"),
]
_MOVED = Inserts(Execution, unique=("id",), update=_FIELDS)
_STEPS = Inserts(Step, unique=("execution", "attempt", "index"), update=_STEP_FIELDS)
# Asked for at every turn of the recorder, which under load are many with few reports each.
_ROW_FIELDS = [field.attname for field in Execution._meta.concrete_fields]
_ROWS = Prepared(
    lambda ids: (
        Execution.objects.select_for_update(of=("self",))
        .filter(pk__in=ids)
        .order_by()
        .values_list(*_ROW_FIELDS, "service__name", "service__pace__last_seconds")
    )
)
_ALL_OF_STEP = [field.attname for field in Step._meta.concrete_fields]
_STEP_ROWS = Prepared(
    lambda executions: Step.objects.filter(execution_id__in=executions).order_by().values_list(*_ALL_OF_STEP)
)


@dataclass
class Recorded:
    """What a batch of reports came to."""

    doorbells: list[Doorbell] = field(default_factory=list)
    delayed: bool = False  # something now waits for a time: the scheduler must look
    changes: list[Change] = field(default_factory=list)
    lanes: set[str] = field(default_factory=set)  # where executors moved on, and so may have made room
    held: Slots = field(default_factory=dict)  # whose limits may have room for another one
    runs: list[Run] = field(default_factory=list)  # that ended, and may tell that their service is slow
    notices: bool = False  # something is to be told: the notifier must look
    pushes: bool = False  # something is to be pushed: the courier must look

    def add(self, other: Recorded) -> None:
        """Take in what another batch came to."""
        self.doorbells += other.doorbells
        self.delayed |= other.delayed
        self.changes += other.changes
        self.lanes |= other.lanes
        self.runs += other.runs
        self.notices |= other.notices
        self.pushes |= other.pushes
        for service, slots in other.held.items():
            self.held.setdefault(service, set()).update(slots)


def reports_apply(batch: Sequence[Event], now: datetime) -> Recorded:
    """Apply lifecycle reports in order, in one transaction. Late, repeated or reordered ones change nothing.

    A report counts only for the attempt that it names; what it may do to a status is `lifecycle.TRANSITIONS`.
    """
    reports = [(_execution_of(event), event) for event in batch]
    done = Recorded()
    with transaction.atomic():
        rows = {row.id: row for row in _locked({pk for pk, _ in reports if pk})}
        steps = _Steps(rows)
        touched: dict[UUID, Execution] = {}
        moved: dict[UUID, Execution] = {}
        for pk, event in reports:
            row = rows.get(pk) if pk else None
            if row is None or event.data.get("attempt") != row.attempt:
                continue
            if event.type == lifecycle.PROGRESS:
                if _progress(row, event):
                    moved[row.id] = row
                continue
            touched[row.id] = row
            if event.type.startswith("ferris.step."):
                if row.status == Status.IN_PROGRESS:
                    steps.take(row, event)
            elif _advance(row, event, steps, done, now):
                moved[row.id] = row
                done.runs += _run(row, event)
        steps.save()
        # An upsert of whole rows: bulk_update would build a CASE for every field of every row, ten times slower.
        _MOVED.save(list(moved.values()))
        told = [moved[pk] for pk in moved if pk in touched]
        done.notices = notices_of_failures(told, now)
        done.pushes = deliveries_of_endings(told, now)
    done.changes = [
        Change.of(row, row.service_name, only_progress=row.id not in touched)
        for row in {**moved, **touched}.values()
    ]
    done.lanes = {row.lane for row in touched.values()}
    for row in touched.values():
        # One that has ended makes room; one that has begun is from now on counted from its start.
        if row.slot is not None and (row.status not in ("queued", "in_progress") or row.rate_key is not None):
            done.held.setdefault(row.service_id, set()).add(row.slot)
    return done


def _locked(wanted: set[UUID]) -> Iterator[Execution]:
    """The rows, nobody else's until the transaction ends; with `service_name` and `pace`."""
    for *values, name, pace in _ROWS.rows(list(wanted)) if wanted else ():
        row = Execution.from_db("default", _ROW_FIELDS, values)
        row.service_name, row.pace = name, pace
        yield row


def _step(values: tuple[Any, ...]) -> Step:
    return Step.from_db("default", _ALL_OF_STEP, values)


def _run(row: Execution, event: Event) -> list[Run]:
    """The run that ended, if it took long, or its service is one of which one did lately."""
    if row.status not in (Status.COMPLETED, Status.FAILED) or row.claimed_at is None:
        return []
    seconds = (event.time - row.claimed_at).total_seconds()
    if row.pace is None and seconds <= wiring.config().slow_after_seconds:
        return []
    return [Run(row.service_id, seconds)]


def _execution_of(event: Event) -> UUID | None:
    try:
        return UUID(event.data["execution"])
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def _advance(row: Execution, event: Event, steps: _Steps, done: Recorded, now: datetime) -> bool:
    """Move the row as the report says; False when it says nothing new."""
    kind, said = event.type, event.data
    if kind == lifecycle.LEASE_EXPIRED and row.status == Status.IN_PROGRESS:
        policy = Retry.from_json(row.version.manifest["retry"])
        kind = lifecycle.on_lease_expired(steps.in_user_code(row), policy, row.attempt)
        said = {**said, "reason": "executor_lost", "error": _lost(row)}
        if kind == lifecycle.RETRY_SCHEDULED:
            due = retry.next_attempt(policy, row.attempt, now, execution_id=str(row.id))
            said["not_before"] = (due or now).isoformat()
    target = lifecycle.advance(Status(row.status), kind)
    if target is None:
        return False
    if row.cancel_requested_at and target in (Status.QUEUED, Status.PENDING):
        target, said = Status.CANCELLED, {"reason": "cancelled"}  # no further attempt of what is to stop
    row.status = target.value
    if target in lifecycle.TERMINAL:
        row.finished_at = event.time
        row.reason, row.error = str(said.get("reason", ""))[:40], str(said.get("error", ""))
        row.lease_until = None
        steps.close(row, event.time)
    elif target in (Status.QUEUED, Status.PENDING):
        steps.close(row, event.time)
        row.attempt += 1
        row.progress = None
        row.lease_until = None
        row.reason, row.error = str(said.get("reason", ""))[:40], str(said.get("error", ""))
        if target is Status.QUEUED:
            row.rung_at = now  # no question of room: it was running, so its doorbell has left the queue
            done.doorbells.append(Doorbell(row.id, row.lane))
        else:
            row.not_before = datetime.fromisoformat(said["not_before"]) if said.get("not_before") else now
            done.delayed = True
    return True


def _progress(row: Execution, event: Event) -> bool:
    """Take over how far it is; False when that is known or does not count any more."""
    at = f"{event.time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    if row.status != Status.IN_PROGRESS or (row.progress and row.progress["at"] >= at):
        return False
    said = event.data
    row.progress = {
        "done": said.get("done"),
        "total": said.get("total"),
        "message": str(said.get("message") or ""),
        "at": at,
    }
    return True


def _lost(row: Execution) -> str:
    return f"the executor {row.worker} stopped answering while it ran this; its machine or process may have ended"


class _Steps:
    """The steps that a batch of reports is about, read and written once."""

    def __init__(self, rows: dict[UUID, Execution]) -> None:
        self._known: dict[tuple[UUID, int, int], Step] = {
            (step.execution_id, step.attempt, step.index): step
            for step in (map(_step, _STEP_ROWS.rows(list(rows)) if rows else ()))
        }
        self._dirty: dict[tuple[UUID, int, int], Step] = {}
        self._artifacts: list[Artifact] = []

    def take(self, row: Execution, event: Event) -> None:
        said: dict[str, Any] = event.data
        key = (row.id, row.attempt, int(said.get("step", 0)))
        step = self._known.get(key) or Step(
            execution_id=row.id, attempt=row.attempt, index=key[2], status=Step.Status.IN_PROGRESS
        )
        step.script = str(said.get("script", step.script))[:512]
        if event.type == "ferris.step.started":
            step.started_at = step.started_at or event.time
            step.isolation = _mapping(said.get("isolation"))
            step.config_marks = _marks(said.get("config"))
        elif step.finished_at is None:
            step.status = (
                Step.Status.COMPLETED if event.type == "ferris.step.completed" else Step.Status.FAILED
            )
            step.finished_at = event.time
            step.exit_code = said.get("exit_code")
            step.signal = str(said.get("signal") or "")[:20]
            step.error = str(said.get("error") or "")
            step.tables = said.get("tables")
            self._artifacts += artifacts_of(step, said)
            step.snapshot = _snapshot(said.get("snapshot"))
            step.exit_reason = str(said.get("exit_reason") or "")[:300]
            step.wall_ms = _amount(said.get("duration_ms"))
            usage = _mapping(said.get("usage"))
            step.cpu_ms, step.memory_bytes = _amount(usage.get("cpu_ms")), _amount(usage.get("memory_bytes"))
            step.memory_of = str(usage.get("memory_of") or "")[:20]
            step.output_bytes = _amount(usage.get("output_bytes"))
        self._known[key] = self._dirty[key] = step

    def in_user_code(self, row: Execution) -> bool:
        """True when a script of the current attempt was reported as started."""
        return any(pk == row.id and attempt == row.attempt for pk, attempt, _ in self._known)

    def close(self, row: Execution, time: datetime) -> None:
        """Nothing of an attempt that ended is still in progress."""
        for key, step in self._known.items():
            if key[0] == row.id and key[1] == row.attempt and step.finished_at is None:
                step.status, step.finished_at = Step.Status.FAILED, time
                self._dirty[key] = step

    def save(self) -> None:
        if not self._dirty:
            return
        if self._artifacts:
            Artifact.objects.bulk_create(self._artifacts, ignore_conflicts=True)
        _STEPS.save(list(self._dirty.values()))


def _snapshot(said: Any) -> dict[str, Any] | None:
    if not isinstance(said, dict):
        return None
    if said.get("problem"):
        return {"problem": str(said["problem"])[:1000]}
    return {
        "day": str(said.get("day"))[:10],
        "size": _amount(said.get("size")),
        "files": _amount(said.get("files")),
    }


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _marks(said: Any) -> dict[str, str] | None:
    return {str(name)[:20]: str(mark)[:64] for name, mark in said.items()} if isinstance(said, dict) else None


def _amount(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 62 else None
