"""Executions that wait for a time, and those whose time has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from ferris_web.executions.models import Execution
from ferris_web.executions.services.admission import Slots, gates_make
from ferris_web.executions.services.turns import Entry, turn_written, turns_give

_DUE_AT_ONCE = 1000
_ENTRY = ("id", "lane", "project_id", "service_id", "share_key", "priority")


@dataclass(frozen=True)
class Due:
    """Executions whose time has come: the lanes in which some now wait for their doorbells, and whose limits the
    others have to ask."""

    lanes: set[str]
    held: Slots


def executions_due(now: datetime) -> Due:
    """Executions whose waiting time is over become queued, some at a time, the longest overdue first.

    Their doorbells ring after the commit when there is room for them. Those of services with limits, or paused,
    then wait to be admitted.
    """
    with transaction.atomic():
        due = list(
            Execution.objects.select_for_update(of=("self",))
            .filter(status="pending", not_before__lte=now)
            .order_by("not_before", "created_at", "id")
            .values_list("slot", "service__paused_at", *_ENTRY)[:_DUE_AT_ONCE]
        )
        entries = [
            (slot, Entry(*entry) if slot is None and paused_at is None else Entry(*entry)._replace(lane=None))
            for slot, paused_at, *entry in due
        ]
        turns = turns_give([entry for _, entry in entries], again=True)
        free = {entry.id: entry.lane for _, entry in entries if entry.lane}
        rest = [(entry.id, entry.service, slot) for slot, entry in entries if not entry.lane]
        if free:
            Execution.objects.filter(pk__in=list(free), status="pending").update(
                status="queued",
                rung_at=None,
                not_before=None,
                turn=turn_written({pk: turns[pk] for pk in free}),
            )
        if rest:
            gates_make({service for _, service, _ in rest})
            waits = [pk for pk, _, _ in rest]
            Execution.objects.filter(pk__in=waits, status="pending").update(
                rung_at=None, not_before=None, turn=turn_written({pk: turns[pk] for pk in waits})
            )
    held: Slots = {}
    for _, service, slot in rest:
        if slot is not None:
            held.setdefault(service, set()).add(slot)
    return Due(set(free.values()), held)


def next_due() -> datetime | None:
    """When the next waiting execution is due."""
    return (
        Execution.objects.filter(status="pending", not_before__isnull=False)
        .order_by("not_before")
        .values_list("not_before", flat=True)
        .first()
    )
