"""Gatherings that somebody closes before their time, with what has come, or discards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from ferris import gathering, intake
from ferris.errors import Conflict, NotFound
from ferris.gathering import Pen
from ferris.intake import rule_from
from ferris_web.catalog.changes import notify
from ferris_web.executions.gathered import members_of
from ferris_web.executions.models import Execution, GatheredEvent, Gathering
from ferris_web.executions.services.changes import Change, changes_tell
from ferris_web.executions.services.gathering import changed, gatherings_write, pen_of, run_of, slots_lock
from ferris_web.executions.services.runs import (
    Flows,
    Listener,
    Run,
    events_of,
    execution_rows,
    executions_save,
    listener_of,
)
from ferris_web.executions.services.urgency import LANES_CHANGED

_WAITING = (gathering.DEBOUNCED, gathering.BATCHED, gathering.HELD, gathering.JOINED)
_MOST = 1000


def gathering_close(wanted: UUID, *, actor: str, now: datetime) -> Gathering:
    """Do now what its time would do: it runs with what has come. NotFound; Conflict when it is not open.

    A join that is not complete runs with the events that came; an absence is told at once. A throttle lets through what
    it holds back (of more than a thousand the longest held, again for the next); the window of a deduplication ends.
    """
    with transaction.atomic():
        box = _open(wanted)
        if box.service.version_id is None:
            raise Conflict(f"{box.service.name} has no version that could run")
        listener, pen = listener_of(box.service), pen_of(box, members_of([box.id]).get(box.id, []))
        runs = _close(box, listener, pen)
        changed(box, pen, runs[0].id if pen.state == gathering.RAN and runs else None, now)
        box.closed_by = actor[:150]
        gatherings_write([box])
        Gathering.objects.filter(pk=box.pk).update(closed_by=box.closed_by)
        made = _execute(runs, now)
        notify(LANES_CHANGED)  # the scheduler admits, rings, and tells of absences
    changes_tell([Change.of(row, listener.name) for row in made])
    return box


def gathering_discard(wanted: UUID, *, actor: str, now: datetime) -> int:
    """Close it without running anything; how many events that left out. NotFound; Conflict when it is not open.

    A throttle forgets what it holds back, and goes on counting.
    """
    with transaction.atomic():
        box = _open(wanted)
        waiting = GatheredEvent.objects.filter(gathering=box, decision__in=_WAITING)
        count = int(waiting.update(decision=gathering.DISCARDED))
        if box.kind == "throttle":
            if not count:
                raise Conflict(f"the gathering {box.pk} holds no event back")
            left = {"held": 0, "due_at": None, "closed_by": actor[:150]}
        else:
            closed = {"state": gathering.DISCARDED, "closed_at": now}
            left = {"due_at": None, "closed_by": actor[:150], **closed}
        Gathering.objects.filter(pk=box.pk).update(**left)
    return count


def _open(wanted: UUID) -> Gathering:
    """The gathering, its slot locked: no router and no clock has it until the transaction ends."""
    slot = Gathering.objects.filter(pk=wanted).values_list("slot", flat=True).first()
    if slot is None:
        raise NotFound(f"there is no gathering {wanted}")
    slots_lock([slot])
    box = Gathering.objects.select_related("service__project").get(pk=wanted)
    if box.state != gathering.OPEN:
        raise Conflict(f"the gathering {wanted} is not open any more: {box.state}")
    return box


def _close(box: Gathering, listener: Listener, pen: Pen) -> list[Run]:
    rule = rule_from(box.kind, box.rule)
    if box.kind == "throttle":
        return _release(box, listener, pen)
    pen.due_at = None
    if box.kind == "deduplicate":
        pen.state = gathering.OVER
        return []
    if box.kind == "join" and rule.kind == intake.ABSENCE:
        pen.state, pen.due_at = gathering.DUE, box.due_at
        return []
    pen.state = gathering.RAN
    return [run_of(listener, pen, box.id)]


def _release(box: Gathering, listener: Listener, pen: Pen) -> list[Run]:
    if not pen.held:
        raise Conflict(f"the gathering {box.pk} holds no event back")
    held = list(GatheredEvent.objects.filter(gathering=box, decision=gathering.HELD).order_by("id")[:_MOST])
    runs = [Run(listener, member.event_id, member.event_id) for member in held]
    for member, run in zip(held, runs, strict=True):
        member.decision, member.execution_id = gathering.RELEASED, run.id
    GatheredEvent.objects.bulk_update(held, ["decision", "execution_id"], batch_size=200)
    pen.held -= len(held)
    if not pen.held:
        pen.due_at = None
    return runs


def _execute(runs: Sequence[Run], now: datetime) -> list[Execution]:
    if not runs:
        return []
    known = events_of((run.event for run in runs), {})
    rows = execution_rows(runs, known, Flows(known, runs, now), now, lambda lane: False)
    executions_save(rows)
    return rows
