"""Turns what executors report on the log into rows, and tells everybody who watches which rows changed."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Final

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

from ferris import events
from ferris.adapters import log_lines
from ferris.config import CONTROL, DEAD_LETTER, LIFECYCLE
from ferris.errors import EventError
from ferris.events import Event
from ferris.lanes import LANES
from ferris.ports import LogRecord, Record
from ferris_web.executions.services import Recorded, changes_tell, dead_letters_record, reports_apply
from ferris_web.executions.services.paces import paces_note
from gateway import deadletter
from gateway.admission import admit
from gateway.deadletter import Letter
from gateway.doorbell import ring, ring_waiting
from gateway.notices import NOTICES, PUSHES, TIMED
from gateway.role import Reader
from gateway.spill import SPILL

log = logging.getLogger(__name__)

_COMPANY: Final = 0.02
_LONGEST: Final = 0.1


class Recorder(Reader):
    """Rows first, then doorbells and notices, then the offset: a repeated batch changes nothing.

    What executors report also says that they made room: executions that waited for it are admitted and rung here.
    """

    group = "ferris.recorder"
    topics = (LIFECYCLE, DEAD_LETTER)
    commit_within = 0.25
    company = _COMPANY

    def handle(self, records: list[LogRecord]) -> None:
        """The longer a turn has taken, the longer the next waits: a busy machine records more at once, for less."""
        began = time.monotonic()
        self._handle(records)
        self.company = min(_LONGEST, max(_COMPANY, 2 * (time.monotonic() - began)))

    def _handle(self, records: list[LogRecord]) -> None:
        now = datetime.now(UTC)
        dead_letters_record([deadletter.row(r) for r in records if r.topic == DEAD_LETTER])
        reports, letters = _parse([r for r in records if r.topic == LIFECYCLE], now)
        recorded = self._apply(reports, letters, now)
        deadletter.put_aside(self.log, letters)
        ring(recorded.doorbells)
        ring_waiting(recorded.lanes | admit(self.log, recorded.held))
        if paces_note(recorded.runs, now):
            ring_waiting(LANES)
        if recorded.lanes:
            SPILL.look()
        self._tell(recorded)

    def _apply(
        self, reports: list[tuple[Event, LogRecord]], letters: list[Letter], now: datetime
    ) -> Recorded:
        if not reports:
            return Recorded()
        try:
            return reports_apply([event for event, _ in reports], now)
        except (OperationalError, InterfaceError):
            raise
        except (DatabaseError, ValueError, TypeError, KeyError, AttributeError) as error:
            if len(reports) == 1:
                event, record = reports[0]
                with log_lines.about(execution=event.subject, flow=event.flow_id):
                    log.exception("report %s cannot be recorded", event.id)
                letters.append(
                    Letter(record, "not_recorded", f"{type(error).__name__}: {error}", event.type, event.id)
                )
                return Recorded()
        whole = Recorded()
        for pair in reports:
            whole.add(self._apply([pair], letters, now))
        return whole

    def _tell(self, recorded: Recorded) -> None:
        """Notices for who watches, and a call to the scheduler when something waits for a time."""
        changes_tell(recorded.changes)
        if recorded.delayed:
            self.log.append(CONTROL, [Record(TIMED)])
        if recorded.notices:
            self.log.append(CONTROL, [Record(NOTICES)])
        if recorded.pushes:
            self.log.append(CONTROL, [Record(PUSHES)])


def _parse(records: list[LogRecord], now: datetime) -> tuple[list[tuple[Event, LogRecord]], list[Letter]]:
    reports, letters = [], []
    for record in records:
        try:
            reports.append((events.from_record(record.value, record.headers, now=now), record))
        except EventError as error:
            letters.append(Letter(record, "unreadable", str(error)))
    return reports, letters
