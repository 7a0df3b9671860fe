"""Events become rows: the journal's, and an execution for each service that an event triggers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import F

from ferris import events, lanes
from ferris.events import Event
from ferris.execution import execution_id
from ferris.limits import Limits
from ferris.ports import LogRecord
from ferris.routing import Trigger
from ferris_web.catalog.event_types import event_types_seen
from ferris_web.executions.models import DeadLetter, Execution, Flow
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.services.admission import Slots, gates_make
from ferris_web.executions.services.changes import Change

_ADDRESSED = frozenset((events.RUN_REQUESTED, events.RETRY_REQUESTED, events.SCHEDULE_DUE))


@dataclass(frozen=True)
class Doorbell:
    """A Celery message to send: something waits for an executor in this lane."""

    execution_id: UUID
    lane: str


@dataclass(frozen=True)
class Listener:
    """What dispatch needs to know of a service."""

    id: UUID
    name: str
    version_id: int
    priority: int
    runs: bool
    limits: Limits = field(default_factory=Limits)
    paused: bool = False
    slow: bool = False


@dataclass(frozen=True)
class Catalog:
    """The catalog at one revision: which services an event triggers, and the versions that would run."""

    revision: int
    match: Callable[[Event], Sequence[Trigger]]
    listeners: Mapping[str, Listener]


@dataclass
class Dispatched:
    """What a batch of events came to: doorbells to ring now, the lanes in which others wait for room, those who
    wait to be admitted, and the executions that are new."""

    doorbells: list[Doorbell] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    held: Slots = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def add(self, other: Dispatched) -> None:
        """Take in what another batch came to."""
        self.doorbells += other.doorbells
        self.waiting |= other.waiting
        for service, slots in other.held.items():
            self.held.setdefault(service, set()).update(slots)
        self.changes += other.changes


def _always(lane: str) -> bool:
    return True


def events_dispatch(
    batch: Sequence[tuple[Event, LogRecord]],
    table: Catalog,
    now: datetime,
    room: Callable[[str], bool] = _always,
) -> Dispatched:
    """Write events and the executions they cause in one transaction; what to do after it.

    `room` is asked for each execution that may run: whether its lane takes one more doorbell now. If not, it
    waits as a row that has not been rung.

    An event that is in the journal already changes nothing but its count of copies; the doorbells of its
    executions that nobody claimed are rung again, since a gateway may have died between writing and ringing.
    """
    with transaction.atomic():
        fresh, again = _split(batch)
        flows = _Flows([event for event, _ in fresh], now)
        rows, executions = [], []
        for event, record in fresh:
            found = _executions(event, table, flows, _moment(now, len(executions)), room)
            executions += found
            rows.append(_journal_row(event, record, table.revision, len(found), _moment(now, len(rows))))
        EventRow.objects.bulk_create(rows)
        flows.save()
        Execution.objects.bulk_create(executions)
        holds = {e.service_id for e in executions if e.status == "pending"}
        if holds:
            gates_make(holds)
        event_types_seen(Counter(e.type for e, _ in fresh), _examples(fresh), now)
        repeated, held = _again(again) if again else ([], {})
    for e in executions:
        if e.status == "pending" and e.slot is not None:
            held.setdefault(e.service_id, set()).add(e.slot)
    return Dispatched(
        doorbells=[Doorbell(e.id, e.lane) for e in executions if e.rung_at] + repeated,
        waiting={e.lane for e in executions if e.status == "queued" and not e.rung_at},
        held=held,
        changes=[Change.of(e, table.listeners[str(e.service_id)].name) for e in executions],
    )


def _split(
    batch: Sequence[tuple[Event, LogRecord]],
) -> tuple[list[tuple[Event, LogRecord]], list[Event]]:
    known = set(EventRow.objects.filter(key__in={e.key for e, _ in batch}).values_list("key", flat=True))
    fresh, again = [], []
    for event, record in batch:
        if event.key in known:
            again.append(event)
        else:
            known.add(event.key)
            fresh.append((event, record))
    return fresh, again


def _again(copies: Sequence[Event]) -> tuple[list[Doorbell], Slots]:
    """Count copies of known events and find their executions that still wait to be claimed, or admitted."""
    for key, count in Counter(e.key for e in copies).items():
        EventRow.objects.filter(key=key).update(copies=F("copies") + count)
    waiting = Execution.objects.filter(event_id__in={e.key for e in copies}, status__in=("queued", "pending"))
    bells, held = [], Slots()
    for row in waiting.only("id", "lane", "status", "rung_at", "not_before", "service_id", "slot"):
        if row.status == "queued" and row.rung_at is not None:
            bells.append(Doorbell(row.id, row.lane))
        elif row.status == "pending" and row.not_before is None and row.slot is not None:
            held.setdefault(row.service_id, set()).add(row.slot)
    return bells, held


def _moment(now: datetime, position: int) -> datetime:
    """A time for each row of a batch, so that lists by time keep the order of the log."""
    return now + timedelta(microseconds=position)


def _targets(event: Event, table: Catalog) -> Iterable[Listener]:
    if event.type in _ADDRESSED:
        found = table.listeners.get(event.service or "")
        return () if found is None else (found,)
    return (table.listeners[trigger.service_id] for trigger in table.match(event))


def _executions(
    event: Event, table: Catalog, flows: _Flows, now: datetime, room: Callable[[str], bool]
) -> list[Execution]:
    made: list[Execution] = []
    for target in _targets(event, table):
        sequence = flows.next(event)
        moment = _moment(now, len(made))
        addressed = event.type in _ADDRESSED
        trigger_type = event.trigger if addressed else "triggered"
        priority = (event.priority if addressed else None) or target.priority
        choice = lanes.choose(priority, trigger_type, slow=target.slow)
        row = Execution(
            id=execution_id(event.key, str(target.id)),
            service_id=target.id,
            version_id=target.version_id,
            event_id=event.key,
            flow_id=event.flow_id,
            sequence=sequence,
            correlation_id=events.correlation_id(event.flow_id or "", sequence),
            parent_id=as_uuid(event.causation_id),
            trigger_type=trigger_type,
            status="queued",
            lane=choice.lane,
            lane_reason=choice.reason,
            priority=priority,
            created_at=moment,
        )
        if not target.runs:
            row.status, row.finished_at, row.reason = "skipped", moment, "inactive"
            row.error = f"{target.name} was inactive or gone when the event arrived"
        elif target.limits or target.paused:
            row.status = "pending"
            if target.limits:
                row.slot, row.rate_key = target.limits.slot(event), target.limits.rate_key(event)
        elif room(row.lane):
            row.rung_at = now
        made.append(row)
    return made


class _Flows:
    """Sequence numbers within flows, read and written once per batch.

    Events of one flow share a log key, so that one router at a time counts for it; but programs that write to
    the log themselves may leave the key out. Where several routers share a database, each locks the rows.
    """

    def __init__(self, batch: Sequence[Event], now: datetime) -> None:
        self._now = now
        new = {e.flow_id or "": e.type for e in reversed(batch)}
        self._rows = self._locked(new)
        missing = [
            Flow(id=flow, started_at=now, last_event_at=now, root_type=new[flow])
            for flow in sorted(new.keys() - self._rows.keys())
        ]
        if missing and connection.features.has_select_for_update:
            Flow.objects.bulk_create(missing, ignore_conflicts=True)  # waits for who makes the same
            self._rows |= self._locked(flow.pk for flow in missing)
        else:
            self._rows |= {flow.pk: flow for flow in missing}

    def _locked(self, flows: Iterable[str]) -> dict[str, Flow]:
        return {
            row.pk: row for row in Flow.objects.select_for_update().filter(pk__in=list(flows)).order_by("pk")
        }

    def next(self, event: Event) -> int:
        row = self._rows[event.flow_id or ""]
        row.sequence += 1
        return row.sequence

    def save(self) -> None:
        for row in self._rows.values():
            row.last_event_at = self._now
        Flow.objects.bulk_create(
            self._rows.values(),
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["sequence", "last_event_at"],
        )


def _journal_row(event: Event, record: LogRecord, revision: int, matched: int, now: datetime) -> EventRow:
    return EventRow(
        key=event.key,
        event_id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject or "",
        time=event.time,
        received_at=now,
        flow_id=event.flow_id,
        causation_id=event.causation_id or "",
        hops=event.hops,
        datacontenttype=event.datacontenttype or "",
        data=_plain(event.data),
        extensions=dict(event.extensions),
        fingerprint=fingerprint(event),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        revision=revision,
        matched=matched,
    )


def fingerprint(event: Event) -> str:
    """SHA-256 of what an event says, in hex: equal for copies, different for another event under the same id."""
    said = orjson.dumps([event.type, event.subject, _plain(event.data)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()


def _plain(data: object) -> object:
    return data.hex() if isinstance(data, bytes) else data


def _examples(fresh: Sequence[tuple[Event, LogRecord]]) -> dict[str, object]:
    return {event.type: _plain(event.data) for event, _ in fresh}


def as_uuid(text: str | None) -> UUID | None:
    """The id in `text`, or None: what caused an event may be anything."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def dead_letters_record(letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters; one that is known already stays as it is."""
    DeadLetter.objects.bulk_create(letters, ignore_conflicts=True)
