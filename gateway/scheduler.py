"""The one clock: due schedules become events, executions that waited for a time become queued, gatherings close,
late promises are told.

Missed runs (the platform was down): one run for the latest of them, at once; the others are not made up for.
A run's event id is made of the schedule and the due time, so that two schedulers at once, or one that died
between event and row, cause one run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from ferris import cron, events
from ferris.config import CONTROL, EVENTS
from ferris.lanes import LANES
from ferris.ports import EventLog, Record
from ferris_web.catalog.models import Schedule
from ferris_web.catalog.selectors import schedules_due, schedules_next
from ferris_web.catalog.services import schedule_advance
from ferris_web.catalog.sync_queue import syncs_due, syncs_next
from ferris_web.executions.backlog import ROUTER, passed
from ferris_web.executions.services import changes_tell, executions_due
from ferris_web.executions.services.admission import gates_due, gates_next, gates_waiting
from ferris_web.executions.services.due import next_due
from ferris_web.executions.services.gathering_due import (
    absences_due,
    absences_told,
    gatherings_close,
    gatherings_next,
)
from ferris_web.executions.services.promises import (
    promises_close,
    promises_next,
    promises_overdue,
    promises_told,
)
from ferris_web.executions.services.schedules import due_event
from gateway.admission import admit
from gateway.doorbell import ring_waiting
from gateway.notices import ADDRESSED
from gateway.role import Role

GROUP = "ferris.scheduler"
_LONGEST_WAIT = 300.0  # a look at the tables now and then, should a notice be lost or the clock be set
_BEHIND = timedelta(seconds=0.1)


class Scheduler(Role):
    """Sleeps until the next due time, or until a notice on `ferris.control` says that the plans changed."""

    def __init__(self, event_log: EventLog) -> None:
        super().__init__()
        self._log = event_log
        self._consumer = event_log.subscribe(GROUP, [CONTROL])

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        self._consumer.close()

    def turn(self) -> None:
        now = datetime.now(UTC)
        for schedule in schedules_due(now):
            self._fire(schedule, now)
        syncs_due(now)
        due = executions_due(now)
        opening: dict[UUID, set[str] | None] = dict.fromkeys(gates_due(now))
        lanes = self._close_gatherings(now)
        self._tell_overdue(now)
        ring_waiting(lanes | due.lanes | admit(self._log, {**due.held, **opening}))
        notices = self._consumer.poll(1000, timeout=self._wait(datetime.now(UTC)))
        if notices:
            if any(notice.value not in ADDRESSED for notice in notices):
                # A service was synced, paused or resumed: other limits may hold, or none.
                admit(self._log, dict.fromkeys(gates_waiting()))
                ring_waiting(LANES)
            self._consumer.commit(notices)

    def _wait(self, now: datetime) -> float:
        times = [
            time for time in (schedules_next(), next_due(), gates_next(), syncs_next()) if time is not None
        ]
        for gathered in (gatherings_next(), promises_next()):
            if gathered is not None:
                # One that is due still waits when the router is behind: it may have to read what belongs to it.
                times.append(max(gathered, now + _BEHIND))
        if not times:
            return _LONGEST_WAIT
        soonest: float = (min(times) - now).total_seconds()
        return min(_LONGEST_WAIT, max(0.0, soonest))

    def _close_gatherings(self, now: datetime) -> set[str]:
        """Close what is due, and tell of what did not come; the lanes in which executions wait to be rung."""
        soonest = gatherings_next()
        if soonest is None or soonest > now:
            return set()
        reached, lanes = passed(EVENTS, ROUTER, now), set[str]()
        while True:
            closed = gatherings_close(reached, now)
            changes_tell(closed.changes)
            lanes |= closed.lanes | admit(self._log, closed.held)
            if not closed.more:
                break
        while absent := absences_due():
            self._log.append(EVENTS, [Record(events.encode(event), key=event.flow_id) for _, event in absent])
            absences_told([pk for pk, _ in absent], now)
        return lanes

    def _tell_overdue(self, now: datetime) -> None:
        """An event for each promise that is late, and only then the note that it was told."""
        soonest = promises_next()
        if soonest is None or soonest > now:
            return
        promises_close(passed(EVENTS, ROUTER, now))
        while late := promises_overdue():
            self._log.append(EVENTS, [Record(events.encode(event), key=event.flow_id) for _, event in late])
            promises_told(pk for pk, _ in late)

    def _fire(self, schedule: Schedule, now: datetime) -> None:
        due = schedule.next_due_at
        if due is None:
            return
        event = due_event(schedule, due)
        self._log.append(EVENTS, [Record(events.encode(event), key=event.flow_id)])
        following = None if schedule.once else cron.next_after(schedule.cron, schedule.timezone, now)
        schedule_advance(schedule, fired=due, following=following)
