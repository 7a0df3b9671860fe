"""Lets executions in that waited for their service's limits, and says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from uuid import UUID

from ferris import events, lifecycle
from ferris.config import CONTROL, LIFECYCLE
from ferris.ports import EventLog, Record
from ferris_web.executions.services.admission import executions_admit
from ferris_web.executions.services.changes import changes_tell
from gateway.notices import TIMED


def admit(log: EventLog, wanted: Mapping[UUID, Collection[str] | None]) -> set[str]:
    """Admit what may run, by service: of those slots, or (None) of all. Gives the lanes that now have to ring."""
    if not wanted:
        return set()
    now = datetime.now(UTC)
    done = executions_admit(wanted, now)
    if done.skipped:
        log.append(LIFECYCLE, [_skipped(*one, now=now) for one in done.skipped])
    if done.timed:  # the scheduler is to look when
        log.append(CONTROL, [Record(TIMED)])
    changes_tell(done.changes)
    return set(done.lanes)


def _skipped(execution: UUID, flow: str, attempt: int, reason: str, *, now: datetime) -> Record:
    event = events.new(
        lifecycle.SKIPPED,
        "ferris/gateway",
        {"execution": str(execution), "attempt": attempt, "reason": reason},
        now=now,
        subject=str(execution),
        correlation_id=flow,
    )
    return Record(events.encode(event), key=str(execution))
