"""What people and programs ask for. To make something run, an event is appended: nothing else starts a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from ferris import events
from ferris.attributes import PLATFORM_ONLY
from ferris.config import EVENTS, LIFECYCLE
from ferris.continuing import EXTENSION
from ferris.errors import Conflict, EventError, NotFound
from ferris.event_schemas import Schema, misfits
from ferris.events import Event
from ferris.execution import execution_id
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.catalog import subscriptions
from ferris_web.catalog.changes import notify
from ferris_web.catalog.event_schemas import schemas_enforced
from ferris_web.catalog.models import Service
from ferris_web.executions.continuing import continuation_of
from ferris_web.executions.models import OPEN, Execution
from ferris_web.executions.services.changes import Change, changes_tell
from ferris_web.executions.services.endings import deliveries_of_endings


@dataclass(frozen=True)
class Requested:
    """A run that was asked for: the execution's id is known before its row appears."""

    execution_id: UUID
    event_id: str
    flow_id: str


def events_accept(batch: Sequence[Event], *, now: datetime, hops: int = 0) -> list[Event]:
    """Append events from outside to the log; durable when it returns. All or none.

    An event that brings no correlation id starts a flow of its own. EventError names the attribute of an
    event that may not come from outside: a reserved type, an extension that only the platform sets, or a field
    that does not fit the schema of a strict type. `hops`: so many lie behind them, as far as is known.
    """
    accepted = []
    strict = schemas_enforced({event.type for event in batch})
    for index, event in enumerate(batch):
        place = f"[{index}]." if len(batch) > 1 else ""
        if events.is_reserved(event.type):
            raise EventError(
                f"{place}type", f"{event.type!r} is reserved for the platform; choose another type"
            )
        for name in PLATFORM_ONLY:
            if name in event.extensions:
                raise EventError(f"{place}{name}", "is set by the platform only; leave it out")
        if event.type in strict:
            _check_data(place, event, strict[event.type])
        if hops:
            event = replace(event, extensions={**event.extensions, "ferrishops": hops})
        accepted.append(events.with_flow(event))
    _append(accepted)
    return accepted


def event_check(event: Event) -> None:
    """EventError for the first field that does not fit the schema of the event's type, if that is strict."""
    schema = schemas_enforced({event.type}).get(event.type)
    if schema is not None:
        _check_data("", event, schema)


def _check_data(place: str, event: Event, schema: Schema) -> None:
    if isinstance(event.data, bytes):
        raise EventError(f"{place}data", f"is no JSON; {event.type} is strict and has a schema")
    for change in misfits(schema, event.data):
        raise EventError(f"{place}{change.path}", f"{change.fault} ({event.type} is strict)")


def _append(batch: Sequence[Event]) -> None:
    wiring.event_log().append(EVENTS, [Record(events.encode(e), key=e.flow_id) for e in batch])


def run_request(
    service: Service, parameters: Mapping[str, Any], *, actor: str, now: datetime, priority: int | None = None
) -> Requested:
    """Ask for one run of a service with these parameters, and perhaps another priority than the service's.

    Conflict says why it may not be run by hand.
    """
    if service.vanished_at is not None or service.version_id is None:
        raise Conflict(
            f"{service.name} is no longer in its repository; bring its folder back and sync the project"
        )
    if not service.active:
        raise Conflict(
            f'{service.name} is inactive; set "active": true in its manifest.json and sync the project'
        )
    if not service.allow_manual_triggering:
        raise Conflict(
            f"{service.name} may not be run by hand: its manifest says allow_manual_triggering: false"
        )
    event = events.new(
        events.RUN_REQUESTED,
        f"ferris/person/{actor}",
        dict(parameters),
        now=now,
        subject=service.name,
        service=str(service.id),
        trigger="manual",
        correlation_id=events.new_flow_id(),
        extensions={} if priority is None else {"ferrispriority": priority},
    )
    return _request(event, service.id)


def retry_request(
    execution: Execution,
    *,
    actor: str,
    now: datetime,
    parameters: Mapping[str, Any] | None = None,
    from_failed_step: bool = False,
) -> Requested:
    """Ask for another execution like this one, in the same flow; Conflict while the first is still open.

    `from_failed_step`: it goes on where this one failed, with what the steps before had left; Conflict when it cannot.
    """
    if execution.status in OPEN:
        raise Conflict(
            f"execution {execution.id} is {execution.status}; cancel it or wait for its end, then retry"
        )
    event = retry_event(execution, f"ferris/person/{actor}", now=now, parameters=parameters)
    if from_failed_step:
        place = continuation_of(execution, now)
        if isinstance(place, str):
            raise Conflict(f"execution {execution.id} cannot be run again from the step that failed: {place}")
        event = replace(event, extensions={**event.extensions, EXTENSION: place.to_text()})
    return _request(event, execution.service_id)


def retry_event(
    execution: Execution,
    source: str,
    *,
    now: datetime,
    parameters: Mapping[str, Any] | None = None,
    id: str | None = None,
) -> Event:
    """The event that asks for another execution like this one; the same `source` and `id` ask once."""
    return events.new(
        events.RETRY_REQUESTED,
        source,
        dict(parameters) if parameters is not None else execution.event.data,
        now=now,
        id=id,
        subject=execution.service.name,
        service=str(execution.service_id),
        trigger="retried",
        correlation_id=execution.flow_id,
        causation_id=str(execution.id),
        extensions=_again(execution),
    )


def _again(execution: Execution) -> dict[str, str]:
    """The script is told the type of the event that it ran for in the first place, and handed what was gathered."""
    said = {"ferriseventname": execution.event.extensions.get("ferriseventname") or execution.event.type}
    if execution.gathering_id:
        said["ferrisgathered"] = str(execution.gathering_id)
    return said


def _request(event: Event, service_id: UUID) -> Requested:
    _append([event])
    return Requested(execution_id(event.key, str(service_id)), event.id, event.flow_id or "")


def wait_visible(wanted: UUID, timeout: float = 2.0) -> Execution | None:
    """The row of an execution just asked for, once the router has dispatched it; None when it takes longer.

    Read-your-writes for callers that were given the id: the wait is bounded and usually some milliseconds.
    """
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        found = Execution.objects.filter(pk=wanted).first()
        if found is not None or time.monotonic() >= deadline:
            return found
        time.sleep(pause)
        pause = min(pause * 2, 0.1)


def execution_cancel(wanted: UUID, *, actor: str, now: datetime, force: bool = False) -> Execution:
    """Cancel an execution: at once if nobody runs it yet, else its executor learns of it within 2 s.

    With `force` it counts as cancelled without the executor's word; should that be alive after all, its next
    heartbeat ends the script, and what it still reports changes nothing. Only after a cancel that it did not answer.
    NotFound; Conflict when it has finished already, or is forced before it was asked.
    """
    with transaction.atomic():
        row = (
            Execution.objects.select_for_update(of=("self",))
            .select_related("service")
            .filter(pk=wanted)
            .first()
        )
        if row is None:
            raise NotFound(f"there is no execution {wanted}")
        if row.status not in OPEN:
            raise Conflict(f"execution {wanted} has already ended: it is {row.status}")
        if force and row.status == "in_progress" and row.cancel_requested_at is None:
            raise Conflict(f"execution {wanted} was not asked to stop yet; cancel it first, then force")
        row.cancel_requested_at = row.cancel_requested_at or now
        if row.status == "in_progress" and force:
            kind = "ferris.execution.cancelled"  # the recorder applies it, as if the executor had said so
        elif row.status == "in_progress":
            kind = "ferris.execution.cancel_requested"
        else:
            kind = "ferris.execution.cancelled"
            row.status, row.finished_at, row.reason = "cancelled", now, "cancelled"
        row.save(update_fields=["cancel_requested_at", "status", "finished_at", "reason"])
        pushes = deliveries_of_endings([row], now)
    report = events.new(
        kind,
        f"ferris/person/{actor}",
        {"execution": str(row.id), "attempt": row.attempt, "by": actor, "reason": "cancelled"},
        now=now,
        subject=str(row.id),
        correlation_id=row.flow_id,
    )
    wiring.event_log().append(LIFECYCLE, [Record(events.encode(report), key=str(row.id))])
    changes_tell([Change.of(row, row.service.name)])
    if pushes:
        notify(subscriptions.CHANGED)
    return row
