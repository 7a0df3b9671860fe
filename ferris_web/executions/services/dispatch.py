"""Events become rows: the journal's, and an execution for each service that an event triggers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import F

from ferris import events
from ferris.adapters.inserts import Inserts
from ferris.adapters.prepared import Prepared
from ferris.events import Event
from ferris.ports import LogRecord
from ferris.promises import PromiseTable
from ferris.replaying import MARK
from ferris.routing import RoutingTable, Trigger
from ferris_web.catalog.event_types import event_types_seen
from ferris_web.executions.models import DeadLetter, Execution
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.services.admission import Slots
from ferris_web.executions.services.changes import Change
from ferris_web.executions.services.chart_counting import entries_write
from ferris_web.executions.services.failure_kinds import failures_retried
from ferris_web.executions.services.gathering import Intakes
from ferris_web.executions.services.notices import notices_of_events
from ferris_web.executions.services.promises import Promises
from ferris_web.executions.services.pushes import deliveries_write
from ferris_web.executions.services.runs import (
    Flows,
    Listener,
    Run,
    as_uuid,
    events_of,
    execution_rows,
    executions_save,
)

Fresh = dict[UUID, tuple[Event, LogRecord]]
"""Events that are new, by their keys, which take some time to compute."""

_EVENTS = Inserts(EventRow)
_KNOWN = Prepared(lambda keys: EventRow.objects.filter(key__in=keys).order_by().values_list("key"))
_ADDRESSED = frozenset((events.RUN_REQUESTED, events.RETRY_REQUESTED, events.SCHEDULE_DUE))


@dataclass(frozen=True)
class Doorbell:
    """A Celery message to send: something waits for an executor in this lane."""

    execution_id: UUID
    lane: str


@dataclass(frozen=True)
class Catalog:
    """The catalog at one revision: which services an event triggers, and the versions that would run."""

    revision: int
    match: Callable[[Event], Sequence[Trigger]]
    listeners: Mapping[str, Listener]
    promises: PromiseTable | None = None
    subscriptions: RoutingTable | None = None
    charts: RoutingTable | None = None


@dataclass
class Dispatched:
    """What a batch of events came to: doorbells to ring now, the lanes in which others wait for room, those who
    wait to be admitted, the executions that are new, and the keys of the events, those that came again included: nobody
    may have been told when they came first."""

    doorbells: list[Doorbell] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    held: Slots = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    events: list[UUID] = field(default_factory=list)
    wakes: bool = False  # something now waits for a time: the scheduler must look
    pushes: bool = False  # something is to be sent: the courier must look
    notices: bool = False  # something is to be told: the notifier must look
    charts: bool = False  # some chart counts it: the charter must look

    def add(self, other: Dispatched) -> None:
        """Take in what another batch came to."""
        self.doorbells += other.doorbells
        self.waiting |= other.waiting
        for service, slots in other.held.items():
            self.held.setdefault(service, set()).update(slots)
        self.changes += other.changes
        self.events += other.events
        self.wakes |= other.wakes
        self.pushes |= other.pushes
        self.notices |= other.notices
        self.charts |= other.charts


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
        targets = [list(_targets(event, table)) for event, _ in fresh.values()]
        intakes = Intakes(_gathered(fresh, targets), now)
        promises = Promises(fresh, table.promises)
        runs, rows = [], []
        for (key, (event, record)), found in zip(fresh.items(), targets, strict=True):
            for target in found:
                runs += _runs(key, event, record, target, intakes)
            moment = _moment(now, len(rows))
            rows.append(_journal_row(key, event, record, table.revision, len(found), moment))
        known = {key: event for key, (event, _) in fresh.items()}
        known = events_of((run.event for run in runs), known)
        flows = Flows(known, runs, now)
        executions = execution_rows(runs, known, flows, now, room)
        _EVENTS.save(rows)
        intakes.save()
        promises.save()
        pushes = deliveries_write(fresh, table.subscriptions, now)
        notices = notices_of_events(fresh, now)
        charts = entries_write(fresh, table.charts)
        held = executions_save(executions)
        again_of = [e.parent_id for e in executions if e.trigger_type == "retried" and e.parent_id]
        if again_of:
            failures_retried(again_of)
        event_types_seen(Counter(e.type for e, _ in fresh.values()), _examples(fresh), now)
        repeated = _again(again, held) if again else []
    return Dispatched(
        doorbells=[Doorbell(e.id, e.lane) for e in executions if e.rung_at] + repeated,
        waiting={e.lane for e in executions if e.status == "queued" and not e.rung_at},
        held=held,
        changes=[Change.of(e, table.listeners[str(e.service_id)].name) for e in executions],
        events=[*fresh, *{e.key for e in again}],
        wakes=intakes.wakes or promises.wakes,
        pushes=pushes,
        notices=notices,
        charts=charts,
    )


def _split(batch: Sequence[tuple[Event, LogRecord]]) -> tuple[Fresh, list[Event]]:
    keys = [event.key for event, _ in batch]
    known = {key for (key,) in _KNOWN.rows(keys)}
    fresh: Fresh = {}
    again = []
    for key, pair in zip(keys, batch, strict=True):
        if key in known or key in fresh:
            again.append(pair[0])
        else:
            fresh[key] = pair
    return fresh, again


def _again(copies: Sequence[Event], held: Slots) -> list[Doorbell]:
    """Count copies of known events and find their executions that still wait to be claimed, or (`held`) admitted."""
    for key, count in Counter(e.key for e in copies).items():
        EventRow.objects.filter(key=key).update(copies=F("copies") + count)
    waiting = Execution.objects.filter(event_id__in={e.key for e in copies}, status__in=("queued", "pending"))
    bells = []
    for row in waiting.only("id", "lane", "status", "rung_at", "not_before", "service_id", "slot"):
        if row.status == "queued" and row.rung_at is not None:
            bells.append(Doorbell(row.id, row.lane))
        elif row.status == "pending" and row.not_before is None and row.slot is not None:
            held.setdefault(row.service_id, set()).add(row.slot)
    return bells


def _moment(now: datetime, position: int) -> datetime:
    """A time for each row of a batch, so that lists by time keep the order of the log."""
    return now + timedelta(microseconds=position)


def _targets(event: Event, table: Catalog) -> Iterable[Listener]:
    if event.type in _ADDRESSED:
        found = table.listeners.get(event.service or "")
        return () if found is None else (found,)
    targets = [table.listeners[trigger.service_id] for trigger in table.match(event)]
    joined = event.extensions.get("ferrisjoin")
    if joined is not None:  # what its join missed: the service itself runs, whoever else listens
        found = table.listeners.get(str(joined))
        if found is not None and found not in targets:
            targets.append(found)
    return targets


def _gathered(fresh: Fresh, targets: Sequence[Sequence[Listener]]) -> Iterable[tuple[Event, Listener]]:
    for (event, _), found in zip(fresh.values(), targets, strict=True):
        for target in found:
            if target.intake is not None and event.type not in _ADDRESSED:
                yield event, target


def _runs(key: UUID, event: Event, record: LogRecord, target: Listener, intakes: Intakes) -> list[Run]:
    if event.type in _ADDRESSED:  # by hand, by the clock, again: nothing holds that up
        gathered = as_uuid(event.extensions.get("ferrisgathered"))
        return [Run(target, key, key, event.trigger, gathered, event.priority)]
    if target.intake is None or event.extensions.get("ferrisjoin") == str(target.id):
        return [Run(target, key, key)]
    return intakes.take(key, event, record, target)


def _journal_row(
    key: UUID, event: Event, record: LogRecord, revision: int, matched: int, now: datetime
) -> EventRow:
    return EventRow(
        key=key,
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
        replay_id=as_uuid(str(event.extensions.get(MARK, ""))),
    )


def fingerprint(event: Event) -> str:
    """SHA-256 of what an event says, in hex: equal for copies, different for another event under the same id."""
    said = orjson.dumps([event.type, event.subject, _plain(event.data)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()


def _plain(data: object) -> object:
    return data.hex() if isinstance(data, bytes) else data


def _examples(fresh: Fresh) -> dict[str, object]:
    return {event.type: _plain(event.data) for event, _ in fresh.values()}


def dead_letters_record(letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters; one that is known already stays as it is."""
    DeadLetter.objects.bulk_create(letters, ignore_conflicts=True)
