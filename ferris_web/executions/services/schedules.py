"""Due times of schedules as events, and the runs that were missed.

A due time's event has an id made of the schedule and the time: made twice, by two schedulers or by a backfill of
what ran already, it is the same event, and runs once.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ferris import cron, events
from ferris.config import EVENTS
from ferris.errors import Conflict
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.catalog.models import Schedule
from ferris_web.executions.models import Event

MOST_GAPS: Final = 1000
_DUE_IDS: Final = uuid.UUID("0f2f5fd2-6d4c-5b53-8f0f-6c1f3a3d2a10")


@dataclass(frozen=True)
class Gaps:
    """Due times that made no run, oldest first. `complete`: there are no more of them before `until`."""

    since: datetime
    until: datetime
    times: tuple[datetime, ...]
    complete: bool


def due_event(schedule: Schedule, due: datetime) -> events.Event:
    """The event of one due time of a schedule: the same id however often it is made."""
    identity = uuid.uuid5(_DUE_IDS, f"{schedule.id}/{due.isoformat()}")
    return events.new(
        events.SCHEDULE_DUE,
        f"ferris/schedule/{schedule.id}",
        schedule.parameters,
        now=due,
        id=str(identity),
        subject=schedule.service.name,
        service=str(schedule.service_id),
        trigger=schedule.trigger_type,
        correlation_id=schedule.flow_id or events.new_flow_id(),
        causation_id=str(schedule.parent_execution) if schedule.parent_execution else None,
        extensions={"ferriseventname": schedule.name} if schedule.name else {},
    )


def window_of(
    schedule: Schedule, since: datetime | None, until: datetime | None, *, now: datetime
) -> tuple[datetime, datetime]:
    """The time to look at for gaps: what is asked for, else the last week of the schedule's life."""
    return since or max(schedule.created_at, now - timedelta(days=7)), min(until or now, now)


def schedule_gaps(schedule: Schedule, *, since: datetime, until: datetime) -> Gaps:
    """The due times in that window, by today's cron, of which the journal has no event. Conflict for a schedule
    that is due once."""
    if schedule.once:
        raise Conflict("it is due once: there is nothing to make up for")
    due = cron.due_between(schedule.cron, schedule.timezone, since, until, limit=MOST_GAPS + 1)
    complete = len(due) <= MOST_GAPS
    due = due[:MOST_GAPS]
    keys = {due_event(schedule, time).key: time for time in due}
    known = set(Event.objects.filter(key__in=list(keys)).values_list("key", flat=True))
    times = tuple(time for key, time in keys.items() if key not in known)
    return Gaps(since, until if complete else due[-1], times, complete)


def schedule_backfill(schedule: Schedule, times: Sequence[datetime], *, now: datetime) -> list[events.Event]:
    """Run it for these due times, in their order; one that ran already is not run again.

    Conflict when its service does not run, or for a time at which it was not due or that has not come yet.
    """
    if schedule.once:
        raise Conflict("it is due once: there is nothing to make up for")
    if not schedule.service.runs:
        raise Conflict(f"{schedule.service.name} is inactive or gone: nothing makes it run")
    if len(times) > MOST_GAPS:
        raise Conflict(f"these are {len(times)} times; expected at most {MOST_GAPS} at once")
    for time in times:
        if time > now or not cron.is_due(schedule.cron, schedule.timezone, time):
            raise Conflict(f"{events.rfc3339(time)} is no past due time of {schedule.cron!r}")
    made = [due_event(schedule, time) for time in sorted(set(times))]
    if made:
        batch = [Record(events.encode(event), key=event.flow_id) for event in made]
        wiring.event_log().append(EVENTS, batch)
    return made
