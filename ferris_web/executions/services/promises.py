"""Promises as rows: what a batch of events gives and keeps, and what the clock finds to be late.

The router's side is in the transaction of its events: read again, they are known and change nothing. Where an event
begins or answers a promise, its slot is held until that transaction ends: of two routers, the second sees what the
first has written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Q

from ferris.event_keys import CORRELATION
from ferris.events import Event
from ferris.ports import LogRecord
from ferris.promises import (
    KEPT,
    LATE,
    OPEN,
    OVERDUE,
    WITHDRAWN,
    Part,
    PromiseTable,
    answered,
    overdue_event,
)
from ferris.promises import Promise as Rule
from ferris.replaying import MARK
from ferris_web.catalog.selectors import event_type_listeners
from ferris_web.executions.journal import event_of
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.models import Promise
from ferris_web.executions.services.gathering import slots_lock

PROMISES: Final = UUID("d2a7c0c8-15c7-5c53-8d3b-1c9a4c1f7b52")
_LOCKS: Final = 0x70726F6D  # the class of our advisory locks, taken after those of gatherings
_FIELDS: Final = ("state", "answer_id", "answered_at")
_AT_ONCE: Final = 500
_OVERTAKEN: Final = 10_000

Fresh = Mapping[UUID, tuple[Event, LogRecord]]


class Promises:
    """The promises that the new events of a batch give or keep. Events that are replayed do neither."""

    def __init__(self, fresh: Fresh, table: PromiseTable | None) -> None:
        self.wakes = False
        self._given: list[Promise] = []
        self._kept: dict[UUID, Promise] = {}
        if table is None:
            return
        self._table = table
        parts = {
            key: found
            for key, (event, _) in fresh.items()
            if MARK not in event.extensions and (found := table.parts(event))
        }
        if parts:
            self._decide(fresh, parts)

    def _decide(self, fresh: Fresh, parts: Mapping[UUID, list[Part]]) -> None:
        slots_lock({_slot(part) for found in parts.values() for part in found}, _LOCKS)
        answers = {_slot(part) for found in parts.values() for part in found if part.answers}
        waiting: dict[UUID, list[Promise]] = {}
        for start in range(0, len(answers), _AT_ONCE):
            wanted = sorted(answers)[start : start + _AT_ONCE]
            for row in Promise.objects.filter(slot__in=wanted, answered_at=None).exclude(state=WITHDRAWN):
                waiting.setdefault(row.slot, []).append(row)
        # In the order of the log, where a batch is of several partitions.
        for key, found in sorted(parts.items(), key=lambda one: fresh[one[0]][1].timestamp):
            event, record = fresh[key]
            for part in found:
                open_ones = waiting.setdefault(_slot(part), [])
                if part.answers:
                    waiting[_slot(part)] = [
                        r for r in open_ones if not self._answer(r, key, record.timestamp)
                    ]
                if part.begins:
                    row = self._give(part, key, event, record.timestamp)
                    waiting[_slot(part)].append(row)
        self._overtaken([row for row in self._given if row.answered_at is None])

    def _give(self, part: Part, key: UUID, event: Event, at: datetime) -> Promise:
        rule = self._table.rules[part.rule]
        due = at + timedelta(seconds=rule.within)
        row = Promise(
            id=uuid5(PROMISES, f"{part.rule} {key}"),
            rule_id=UUID(part.rule),
            slot=_slot(part),
            key=part.key[:255],
            flow_id=event.flow_id or "",
            event_id=key,
            state=OPEN,
            given_at=at,
            due_at=due,
            wakes_at=due,
        )
        self._given.append(row)
        return row

    def _answer(self, row: Promise, key: UUID, at: datetime) -> bool:
        """True when an event that came at that time answers the promise; it may have waited for long."""
        if at < row.given_at or key == row.event_id:
            return False
        row.answer_id, row.answered_at = key, at
        if row.state == OPEN and answered(row.due_at, at) == KEPT:
            row.state, row.wakes_at = KEPT, None
        else:
            row.state = LATE  # the clock still has to tell, unless it has
        if not row._state.adding:
            self._kept[row.id] = row
        return True

    def _overtaken(self, rows: Sequence[Promise]) -> None:
        """Answers that are in the journal already, as another partition was read faster. Mostly there are none:
        what is looked for was taken in after the beginning came onto the log, a moment ago."""
        if not rows:
            return
        since = min(row.given_at for row in rows)
        wanted = Q()
        for pk in {row.rule_id for row in rows}:
            rule = self._table.rules[str(pk)]
            name = rule.expect.event_type
            types = Q(type__startswith=name[:-1]) if name.endswith("*") else Q(type=name)
            if rule.by == CORRELATION:
                types &= Q(flow_id__in={row.flow_id for row in rows if row.rule_id == pk})
            wanted |= types
        found = EventRow.objects.filter(wanted, received_at__gte=since).order_by("received_at", "key")
        slots: dict[UUID, list[Promise]] = {}
        for row in rows:
            slots.setdefault(row.slot, []).append(row)
        for one in found[:_OVERTAKEN]:
            if MARK in one.extensions:
                continue
            for part in self._table.parts(event_of(one)):
                for row in slots.get(_slot(part), ()) if part.answers else ():
                    if row.answered_at is None and one.received_at >= row.given_at:
                        # When it came onto the log is not kept: between these two.
                        self._answer(row, one.key, min(one.received_at, max(row.given_at, one.time)))

    def save(self) -> None:
        """Write what was decided; the rows of the events are there."""
        if self._given:
            soonest = min((row.wakes_at for row in self._given if row.wakes_at), default=None)
            if soonest is not None:
                self.wakes = not Promise.objects.filter(wakes_at__lte=soonest).exists()
            Promise.objects.bulk_create(self._given)
        kept = [row for row in self._kept.values() if row.state == KEPT]
        late = [row for row in self._kept.values() if row.state == LATE]
        # Whether a late one was told is for the clock to say, which does not wait for us.
        for rows, names in ((kept, (*_FIELDS, "wakes_at")), (late, _FIELDS)):
            if rows:
                Promise.objects.bulk_create(
                    rows, update_conflicts=True, unique_fields=["id"], update_fields=list(names)
                )


def _slot(part: Part) -> UUID:
    return uuid5(PROMISES, f"{part.rule}/{part.key}")


# --- the clock's side ------------------------------------------------------------------------------


def promises_next() -> datetime | None:
    """When the clock must look next; None when nothing waits."""
    waiting = Promise.objects.filter(wakes_at__isnull=False).order_by("wakes_at")
    return waiting.values_list("wakes_at", flat=True).first()


def promises_close(passed: datetime) -> None:
    """Note what is late, of all that was due before `passed`: until then an answer may be on its way. Several
    callers at once take turns, and take turns with routers: an answer is never overwritten."""
    while True:
        with transaction.atomic():
            due = Promise.objects.filter(state=OPEN, wakes_at__lte=passed).order_by("wakes_at", "id")
            wanted = dict(due.values_list("pk", "slot")[:_AT_ONCE])
            slots_lock(wanted.values(), _LOCKS)
            rows = Promise.objects.filter(pk__in=wanted, state=OPEN)
            rows.filter(rule__vanished_at__isnull=False).update(state=WITHDRAWN, wakes_at=None)
            rows.update(state=OVERDUE)
        if len(wanted) < _AT_ONCE:
            return


def promises_overdue() -> list[tuple[UUID, Event]]:
    """Some of the late promises that are not yet told, each with the event that says so; made again it is the same."""
    rows = list(
        Promise.objects.filter(wakes_at__isnull=False, state__in=(OVERDUE, LATE))
        .select_related("rule__project", "event")
        .order_by("wakes_at", "id")[:_AT_ONCE]
    )
    listeners: dict[str, list[str]] = {}
    for name in {row.event.type for row in rows}:
        listeners[name] = [service.name for service in event_type_listeners(name)]
    return [(row.id, _event(row, listeners[row.event.type])) for row in rows]


def _event(row: Promise, listeners: list[str]) -> Event:
    return overdue_event(
        Rule.from_json(row.rule.rule),
        id=str(row.id),
        project=row.rule.project.name,
        key=row.key,
        begun=event_of(row.event),
        at=row.given_at,
        due=row.due_at,
        listeners=listeners,
    )


def promises_told(promises: Iterable[UUID]) -> None:
    """The events of these are on the log."""
    Promise.objects.filter(pk__in=list(promises), state__in=(OVERDUE, LATE)).update(wakes_at=None)
