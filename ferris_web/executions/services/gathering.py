"""What a batch of events opens, fills and closes: gatherings as rows, by the rules of `ferris.gathering`.

Loaded with one look-up for all events of a batch, their slots locked until the transaction ends, so that two routers
take turns at a key. Saved in the same transaction as the events: read again, they are known and change nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from django.db import connection

from ferris import gathering
from ferris.events import Event
from ferris.gathering import Arrival, Pen, Pens
from ferris.joins import Member
from ferris.ports import LogRecord
from ferris_web.executions.gathered import members_of
from ferris_web.executions.models import GatheredEvent, Gathering
from ferris_web.executions.services.runs import Listener, Run

SLOTS: Final = UUID("3a5d0c5e-6f0b-5c1e-8a57-9d2f4b1c7e60")
FIELDS: Final = (
    "rule", "state", "due_at", "until", "closed_at", "last_event", "size", "bytes", "held", "passes",
    "execution_id",
)  # fmt: skip
_AT_ONCE = 5000
_LOCKS = 0x67617468  # the class of our advisory locks
_BUCKETS = 512

Place = tuple[str, str]


@dataclass(slots=True)
class _Service:
    """One service's side of a batch."""

    listener: Listener
    pens: Pens = field(default_factory=Pens)
    slots: dict[Place, UUID] = field(default_factory=dict)
    decided: list[tuple[Pen, Arrival, str]] = field(default_factory=list)


class Intakes:
    """The gatherings that a batch of events may touch, for the services that gather at all."""

    def __init__(self, wanted: Iterable[tuple[Event, Listener]], now: datetime) -> None:
        self._now = now
        self._services: dict[UUID, _Service] = {}
        self._ids: dict[int, UUID] = {}  # of each pen that has a row, by its identity
        self._due: dict[UUID, datetime | None] = {}
        self.wakes = False
        for event, listener in wanted:
            self._note(event, listener)
        if self._services:
            self._load()

    def _note(self, event: Event, listener: Listener) -> None:
        if listener.intake is None:
            return
        one = self._services.get(listener.id)
        if one is None:
            one = self._services[listener.id] = _Service(listener)
        for place in gathering.places(listener.intake, event):
            if place not in one.slots:
                one.slots[place] = slot_of(listener, place)

    # ------------------------------------------------------------------ rows in

    def _load(self) -> None:
        places = {slot: (one, place) for one in self._services.values() for place, slot in one.slots.items()}
        slots_lock(places)
        rows = _opened(places)
        members = members_of(row.id for row in rows.values() if row.kind == "join")
        for slot, row in rows.items():
            one, place = places[slot]
            pen = one.pens.open[place] = pen_of(row, members.get(row.id, ()))
            self._ids[id(pen)], self._due[row.id] = row.id, row.due_at

    # ------------------------------------------------------------------ decisions

    def take(self, key: UUID, event: Event, record: LogRecord, listener: Listener) -> list[Run]:
        """Decide about an event that has triggered a service; what is to run now because of it, in order."""
        if listener.intake is None:
            return [Run(listener, key, key)]
        one = self._services[listener.id]
        entries = 0
        if listener.entries is not None:
            for trigger in listener.entries.match(event):
                entries |= 1 << int(trigger.service_id)
        arrival = Arrival(event, key, record.timestamp, len(record.value), entries)
        taken = gathering.take(listener.intake, one.pens, arrival)
        if taken.pen is not None and taken.decision in gathering.DECISIONS:
            one.decided.append((taken.pen, arrival, taken.decision))
        ran = [pen for pen in taken.closed if pen.state == gathering.RAN]
        runs = [run_of(listener, pen, self._id(one.slots[pen.kind, pen.key], pen)) for pen in ran]
        if taken.decision == gathering.RUN:
            runs.append(Run(listener, key, key))
        return runs

    # ------------------------------------------------------------------ rows out

    def save(self) -> None:
        """Write what was decided. The rows of the events may come later in the transaction."""
        if not self._services:
            return
        closed, still, members = [], [], []
        for one in self._services.values():
            for pen in one.pens.closed:
                closed.append(self._row(one, pen))
            for pen in one.pens.open.values():
                still.append(self._row(one, pen))
            members += [self._member(one, *decided) for decided in one.decided]
        for rows in (closed, still):  # in this order: a slot has one open row at a time
            gatherings_write(rows)
        GatheredEvent.objects.bulk_create(members)
        for one in self._services.values():
            gone = [event for pen in (*one.pens.closed, *one.pens.open.values()) for event in pen.gone]
            members_expire(one.listener.id, gone)

    def _row(self, one: _Service, pen: Pen) -> Gathering:
        slot = one.slots[pen.kind, pen.key]
        row = row_of(pen, self._id(slot, pen), slot, one.listener, self._now)
        before = self._due.get(row.id)
        if pen.due_at is not None and (before is None or pen.due_at < before):
            self.wakes = True
        return row

    def _id(self, slot: UUID, pen: Pen) -> UUID:
        return self._ids.get(id(pen)) or uuid5(slot, str(pen.first))

    def _member(self, one: _Service, pen: Pen, arrival: Arrival, decision: str) -> GatheredEvent:
        return GatheredEvent(
            gathering_id=self._id(one.slots[pen.kind, pen.key], pen),
            service_id=one.listener.id,
            event_id=arrival.id,
            decision=decision,
            entries=arrival.entries,
            at=arrival.at,
        )


def slots_lock(slots: Iterable[UUID], locks: int = _LOCKS) -> None:
    """Have these slots to oneself until the transaction ends, whether something is open in them or not.

    On PostgreSQL by advisory locks, few enough for its table of locks and always taken in one order; they come
    before locks on flows. On SQLite the transaction has the file.
    """
    if connection.vendor != "postgresql":
        return
    buckets = sorted({slot.int % _BUCKETS for slot in slots})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, bucket) FROM unnest(%s::int[]) AS bucket", [locks, buckets]
        )


def _opened(slots: Iterable[UUID]) -> dict[UUID, Gathering]:
    wanted = list(slots)
    found: dict[UUID, Gathering] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        found |= {row.slot: row for row in Gathering.objects.filter(state="open", slot__in=part)}
    return found


def run_of(listener: Listener, pen: Pen, pk: UUID) -> Run:
    """The execution of a gathering. It belongs to the first event of a batch, else to the last that came."""
    lead = pen.first if pen.kind == "batch" else pen.last
    return Run(listener, pen.first, lead, gathering=pk)


def slot_of(listener: Listener, place: Place) -> UUID:
    """Where a service has at most one open gathering. A join that asks for something else begins anew."""
    kind, key = place
    rule = getattr(listener.intake, kind)
    if kind == "join":
        said = json.dumps(asdict(rule), sort_keys=True, default=str)
        by = hashlib.sha256(said.encode()).hexdigest()[:16]
    else:
        by = rule.key
    return uuid5(SLOTS, f"{listener.id}/{kind}/{by}/{key}")


def pen_of(row: Gathering, members: Sequence[Member] = ()) -> Pen:
    """An open gathering as the rules see it."""
    return Pen(
        kind=row.kind,
        key=row.key,
        opened_at=row.opened_at,
        first=row.first_event_id,
        last=row.last_event_id,
        due_at=row.due_at,
        until=row.until,
        size=row.size,
        bytes=row.bytes,
        held=row.held,
        passes=list(row.passes),
        members=list(members),
    )


def row_of(pen: Pen, pk: UUID, slot: UUID, listener: Listener, now: datetime) -> Gathering:
    rule = getattr(listener.intake, pen.kind)
    return changed(
        Gathering(
            id=pk,
            slot=slot,
            service_id=listener.id,
            kind=pen.kind,
            key=pen.key,
            rule=_plain(asdict(rule)),
            opened_at=pen.opened_at,
            first_event_id=pen.first,
        ),
        pen,
        run_of(listener, pen, pk).id if pen.state == gathering.RAN else None,
        now,
    )


def changed(row: Gathering, pen: Pen, execution_id: UUID | None, now: datetime) -> Gathering:
    """The row with what has become of its pen."""
    row.state = pen.state
    row.due_at, row.until = pen.due_at, pen.until
    row.closed_at = None if pen.state == gathering.OPEN else now
    row.last_event_id = pen.last
    row.size, row.bytes, row.held, row.passes = pen.size, pen.bytes, pen.held, pen.passes
    row.execution_id = execution_id
    return row


def gatherings_write(rows: Sequence[Gathering]) -> None:
    """Insert or update these rows."""
    if rows:
        Gathering.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["id"], update_fields=list(FIELDS)
        )


def members_expire(service_id: UUID, events: Sequence[UUID]) -> None:
    """These events count no more in the service's join."""
    if events:
        found = GatheredEvent.objects.filter(service_id=service_id, event_id__in=events)
        found.update(decision=gathering.EXPIRED)


def _plain(rule: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in rule.items()}
