"""The life of an execution: its statuses, the events that move it, and one table that says how.

The row in the database is the truth. Reports may come late, twice or in another order: whatever the
table does not name changes nothing, and a finished execution never moves again.
`python -m ferris.lifecycle > docs/lifecycle.md` prints this table for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from ferris.retry import LOST_BEFORE_START, Retry


class Status(StrEnum):
    PENDING = "pending"
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


TERMINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.SKIPPED})

MEANING: Final = {
    Status.PENDING: "waits for its time (a retry's delay), or to be admitted: its service is paused, or at a limit",
    Status.QUEUED: "any executor of its lane may claim it once its doorbell rings, in turn where many wait",
    Status.IN_PROGRESS: "one executor holds its lease and runs its steps",
    Status.COMPLETED: "every step ended with exit status 0",
    Status.FAILED: "a step failed or timed out, or the platform could not run it; `reason` says which",
    Status.CANCELLED: "someone asked it to stop before it ended",
    Status.SKIPPED: "it was not run, on purpose; `reason`: `inactive`, `paused`, `concurrency`, `rate`",
}


class Reason(StrEnum):
    """Why an execution failed."""

    SCRIPT_FAILED = "script_failed"
    TIMEOUT = "timeout"
    EXECUTOR_LOST = "executor_lost"
    ENVIRONMENT = "environment"
    PACKAGE = "package"
    NO_SCRIPTS = "no_scripts"
    ISOLATION = "isolation"
    PLATFORM = "platform"


REASON_MEANING: Final = {
    Reason.SCRIPT_FAILED: "a script ended with another exit status than 0, or by a signal",
    Reason.TIMEOUT: "the manifest's `timeout` (or the platform's) ran out",
    Reason.EXECUTOR_LOST: "the executor died or lost its lease while user code ran; what it did is unknown",
    Reason.ENVIRONMENT: "the packages of `requirements.txt` could not be installed",
    Reason.PACKAGE: "the service's package could not be fetched or unpacked",
    Reason.ISOLATION: "its executor cannot isolate it as its manifest requires; no code of it ran",
    Reason.NO_SCRIPTS: "the service has no script to run",
    Reason.PLATFORM: "the platform itself failed; its log has the details",
}

CREATED: Final = "ferris.execution.created"
QUEUED: Final = "ferris.execution.queued"
STARTED: Final = "ferris.execution.started"
COMPLETED: Final = "ferris.execution.completed"
FAILED: Final = "ferris.execution.failed"
CANCELLED: Final = "ferris.execution.cancelled"
SKIPPED: Final = "ferris.execution.skipped"
RETRY_SCHEDULED: Final = "ferris.execution.retry_scheduled"
REQUEUED: Final = "ferris.execution.requeued"
HELD: Final = "ferris.execution.held"
LEASE_EXPIRED: Final = "ferris.execution.lease_expired"
CANCEL_REQUESTED: Final = "ferris.execution.cancel_requested"
PROGRESS: Final = "ferris.execution.progress"
"""A script says how far it is: moves nothing."""

STEP_STARTED: Final = "ferris.step.started"
STEP_COMPLETED: Final = "ferris.step.completed"
STEP_FAILED: Final = "ferris.step.failed"

EXECUTION_EVENTS: Final = (
    CREATED, QUEUED, STARTED, COMPLETED, FAILED, CANCELLED, SKIPPED,
    RETRY_SCHEDULED, REQUEUED, HELD, LEASE_EXPIRED, CANCEL_REQUESTED,
)  # fmt: skip
STEP_EVENTS: Final = (STEP_STARTED, STEP_COMPLETED, STEP_FAILED)


@dataclass(frozen=True, slots=True)
class Transition:
    """`event` moves an execution from `source` (None: there was none) to `target`."""

    source: Status | None
    event: str
    target: Status
    when: str


_P, _Q, _I = Status.PENDING, Status.QUEUED, Status.IN_PROGRESS

TRANSITIONS: Final = (
    Transition(None, CREATED, _Q, "it may run at once: the doorbell rings"),
    Transition(None, CREATED, _P, "its service has limits, or is paused: it waits to be admitted"),
    Transition(_P, QUEUED, _Q, "its time has come and no limit keeps it: the doorbell rings"),
    Transition(
        _P,
        SKIPPED,
        Status.SKIPPED,
        "a limit says `on_limit: skip`, or the pause ended without what had waited",
    ),
    Transition(_P, CANCEL_REQUESTED, Status.CANCELLED, "nothing runs, so nothing need be stopped"),
    Transition(_P, CANCELLED, Status.CANCELLED, "nothing runs, so nothing need be stopped"),
    Transition(_Q, STARTED, _I, "an executor's claim succeeded"),
    Transition(
        _Q, FAILED, Status.FAILED, "the claim found that it can never run (its secrets cannot be read)"
    ),
    Transition(_Q, SKIPPED, Status.SKIPPED, "its service was switched off while it waited"),
    Transition(_Q, HELD, _P, "its service was paused before anyone claimed it"),
    Transition(_Q, CANCEL_REQUESTED, Status.CANCELLED, "nobody has claimed it yet"),
    Transition(_Q, CANCELLED, Status.CANCELLED, "nobody has claimed it yet"),
    Transition(_I, COMPLETED, Status.COMPLETED, "the last step ended with exit status 0"),
    Transition(_I, FAILED, Status.FAILED, "a step failed and no attempt is left"),
    Transition(_I, RETRY_SCHEDULED, _P, "a step failed and the manifest's `retry` allows another attempt"),
    Transition(_I, CANCEL_REQUESTED, _I, "the executor is told in the answer to its next heartbeat"),
    Transition(_I, CANCELLED, Status.CANCELLED, "the executor stopped the script's processes"),
    Transition(_I, LEASE_EXPIRED, _I, "heartbeats stopped; one of the next three events follows from it"),
    Transition(_I, REQUEUED, _Q, "the executor was lost before user code began: another one tries"),
)
"""The whole machine. For an existing execution no two rows share source and event."""

_NEXT: Final = {(row.source, row.event): row.target for row in TRANSITIONS if row.source is not None}


def advance(status: Status, event_type: str) -> Status | None:
    """The status after `event_type`, or None when the event changes nothing in `status` (late, repeated).

    The caller has checked that the event's attempt is the execution's: older attempts never count.
    """
    return _NEXT.get((status, event_type))


def initial(not_before: datetime | None, now: datetime) -> Status:
    """The status an execution is created with."""
    return _P if not_before is not None and not_before > now else _Q


def on_lease_expired(in_user_code: bool, retry: Retry, attempt: int) -> str:
    """The event that follows when the executor of `attempt` stopped its heartbeats.

    Before `ferris.step.started` is on the log no user code has run, so another try cannot do anything
    twice: REQUEUED, until an execution has cost so many executors that it is the likely cause itself.
    In user code nobody knows what was done: FAILED (reason executor_lost), unless `retry.on_lost`.
    """
    if in_user_code:
        return RETRY_SCHEDULED if retry.on_lost and attempt < retry.attempts else FAILED
    return REQUEUED if attempt < retry.attempts + LOST_BEFORE_START else FAILED


def _diagram() -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2"]
    for row in TRANSITIONS:
        lines.append(f"    {row.source or '[*]'} --> {row.target}: {row.event.rpartition('.')[2]}")
    lines += [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    return [*lines, "```"]


def document() -> str:
    """docs/lifecycle.md."""
    lines = [
        "# The life of an execution",
        "",
        "Made of `TRANSITIONS` in `ferris/lifecycle.py` (`python -m ferris.lifecycle > docs/lifecycle.md`);",
        "a test compares the two. What the table does not name changes nothing.",
        "",
        *_diagram(),
        "",
        "| Status | Meaning | Final |",
        "|---|---|---|",
        *(f"| `{status}` | {MEANING[status]} | {'yes' if status in TERMINAL else ''} |" for status in Status),
        "",
        "| From | Event | To | When |",
        "|---|---|---|---|",
        *(
            f"| {f'`{t.source}`' if t.source else ''} | `{t.event}` | `{t.target}` | {t.when} |"
            for t in TRANSITIONS
        ),
        "",
        "`retry_scheduled` and `requeued` begin a new attempt: the attempt number grows by one. Every report",
        "names its attempt, and a report of an older attempt changes nothing. A claim (compare-and-set on",
        "status and attempt) moves `queued` to `in_progress`; `ferris.execution.started` is its record.",
        "",
        "`ferris.execution.progress` says how far a script is (`context.progress`); it moves nothing.",
        "",
        "After `lease_expired`:",
        "",
        "| User code had begun | The manifest's `retry` | Follows |",
        "|---|---|---|",
        f"| no | any | `requeued`; after {LOST_BEFORE_START} attempts more than `retry.attempts`: `failed` |",
        "| yes | `on_lost` and an attempt is left | `retry_scheduled` |",
        "| yes | otherwise | `failed`, reason `executor_lost` |",
        "",
        "User code has begun once `ferris.step.started` of the first step is durable on the log; the",
        "executor writes it before it starts the script's process.",
        "",
        "| Reason of a failure | Meaning |",
        "|---|---|",
        *(f"| `{reason}` | {REASON_MEANING[reason]} |" for reason in Reason),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(document(), end="")
