"""Gatherings whose time has come: the clock's side of `ferris.gathering`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Q

from ferris import events, gathering, joins
from ferris.event_keys import CORRELATION
from ferris.events import Event
from ferris.gathering import Pens
from ferris.intake import Join, rule_from
from ferris_web.catalog.models import Service
from ferris_web.executions.gathered import members_of
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.models import GatheredEvent, Gathering
from ferris_web.executions.services.admission import Slots
from ferris_web.executions.services.changes import Change
from ferris_web.executions.services.gathering import (
    changed,
    gatherings_write,
    members_expire,
    pen_of,
    run_of,
    slots_lock,
)
from ferris_web.executions.services.runs import (
    Flows,
    Listener,
    Run,
    events_of,
    execution_rows,
    executions_save,
    listener_of,
)

FIRED_IDS = UUID("7b8f1f0e-2f6d-5e4c-9a43-5d0c7a1be932")
_AT_ONCE = 500


@dataclass
class Closed:
    """What the clock closed: new executions, the lanes in which they wait to be rung, those who wait to be admitted,
    and whether more is due."""

    changes: list[Change] = field(default_factory=list)
    lanes: set[str] = field(default_factory=set)
    held: Slots = field(default_factory=dict)
    more: bool = False


def gatherings_close(passed: datetime, now: datetime) -> Closed:
    """Close what is due, in one transaction, the longest overdue first.

    `passed`: all events that arrived before it have been routed. Until then an event may be on its way that belongs
    to a gathering, or is what a join misses; only what a throttle holds back goes by `now`. Several callers at once
    take turns.
    """
    with transaction.atomic():
        due = Gathering.objects.filter(_due(passed, now), service__version__isnull=False)
        wanted = dict(due.order_by("due_at", "id").values_list("id", "slot")[:_AT_ONCE])
        slots_lock(wanted.values())
        # Looked at again: a router, or another clock, may have had them until now.
        rows = list(Gathering.objects.filter(_due(passed, now), pk__in=wanted).order_by("due_at", "id"))
        listeners = {
            service.id: listener_of(service)
            for service in Service.objects.filter(
                pk__in={row.service_id for row in rows}, version__isnull=False
            )
        }
        members = members_of(row.id for row in rows if row.kind == "join")
        runs: list[Run] = []
        for row in rows:
            runs += _pass_time(row, listeners[row.service_id], members.get(row.id, []), passed, now)
        gatherings_write(rows)
        known = events_of((run.event for run in runs), {})
        flows = Flows(known, runs, now)
        executions = execution_rows(runs, known, flows, now, lambda lane: False)
        held = executions_save(executions)
    return Closed(
        [Change.of(e, listeners[e.service_id].name) for e in executions],
        {e.lane for e in executions if e.status == "queued"},
        held,
        len(wanted) == _AT_ONCE,
    )


def _due(passed: datetime, now: datetime) -> Q:
    return Q(state="open") & (Q(kind="throttle", due_at__lte=now) | Q(due_at__lte=passed))


def _pass_time(
    row: Gathering, listener: Listener, members: Sequence[joins.Member], passed: datetime, now: datetime
) -> list[Run]:
    pen = pen_of(row, members)
    rule = rule_from(row.kind, row.rule)
    runs: list[Run] = []
    if row.kind == "throttle":
        runs = _release(row, listener, gathering.release(rule, pen, now))
    else:
        pens = Pens({(pen.kind, pen.key): pen})
        if row.kind == "join":
            gathering.pass_time(rule, pens, pen, passed)
            members_expire(row.service_id, pen.gone)
        else:
            pens.close(pen, gathering.RAN)
            runs = [run_of(listener, pen, row.id)]
    changed(row, pen, runs[0].id if pen.state == gathering.RAN else None, now)
    return runs


def _release(row: Gathering, listener: Listener, count: int) -> list[Run]:
    """The longest held events of a throttle, each as an execution of its own."""
    held = GatheredEvent.objects.filter(gathering=row, decision=gathering.HELD).order_by("id")[:count]
    runs = []
    for member in held:
        run = Run(listener, member.event_id, member.event_id)
        member.decision, member.execution_id = gathering.RELEASED, run.id
        runs.append(run)
    GatheredEvent.objects.bulk_update([*held], ["decision", "execution_id"])
    return runs


def gatherings_next() -> datetime | None:
    """When the clock must look next; None when nothing waits."""
    waiting = Gathering.objects.filter(due_at__isnull=False).order_by("due_at")
    return waiting.values_list("due_at", flat=True).first()


# --- absences --------------------------------------------------------------------------------------


def absences_due() -> list[tuple[UUID, Event]]:
    """Of each join whose awaited event did not come: its id, and the event that says so. To be appended, and told."""
    rows = list(
        Gathering.objects.filter(state=gathering.DUE, due_at__isnull=False)
        .select_related("service")
        .order_by("due_at")[:_AT_ONCE]
    )
    found = members_of(row.id for row in rows)
    awaiting = {row.id: _awaiting(row, found.get(row.id, [])) for row in rows}
    heads = EventRow.objects.in_bulk([member.event for member in awaiting.values()])
    return [(row.id, _absent(row, heads[awaiting[row.id].event], found[row.id])) for row in rows]


def _awaiting(row: Gathering, members: Sequence[joins.Member]) -> joins.Member:
    return next(member for member in members if member.entries & joins.AFTER)


def _absent(row: Gathering, after: EventRow, members: Sequence[joins.Member]) -> Event:
    """The event of one absence: the same however often it is made."""
    rule: Join = rule_from("join", row.rule)
    return events.new(
        rule.event,
        f"ferris/join/{row.service.name}",
        {
            "of": rule.entries[1].event_type,
            "after": {
                "id": after.event_id,
                "source": after.source,
                "type": after.type,
                "subject": after.subject or None,
                "time": events.rfc3339(after.time),
                "data": after.data,
            },
            "by": rule.by,
            "key": after.flow_id if rule.by == CORRELATION else row.key,
            "within": rule.within,
            "waited_since": events.rfc3339(members[0].at),
        },
        now=row.due_at,
        id=str(uuid5(FIRED_IDS, str(row.id))),
        subject=row.service.name,
        correlation_id=after.flow_id,
        causation_id=after.causation_id or None,
        hops=after.hops + 1,
        extensions={"ferrisjoin": str(row.service_id)},
    )


def absences_told(gatherings: Sequence[UUID], now: datetime) -> None:
    """The events of these are on the log."""
    Gathering.objects.filter(pk__in=gatherings, state=gathering.DUE).update(
        state=gathering.TOLD, due_at=None, closed_at=now
    )
