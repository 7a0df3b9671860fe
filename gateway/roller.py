"""Adds up executions that have ended, soon after they have, sorts those that failed, counts hours that are over, lets
rankings follow the time, looks at what executions left for charts, and says so; keeps the system map as the catalog and
what runs say."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from ferris.config import CHANGES, CONTROL
from ferris.ports import EventLog, Record
from ferris_web.executions.services.bonds import bonds_renew
from ferris_web.executions.services.changes import EVENTS_TOLD
from ferris_web.executions.services.chart_answers import artifacts_look
from ferris_web.executions.services.failure_kinds import AT_ONCE as FAILURES_AT_ONCE
from ferris_web.executions.services.failure_kinds import failures_piece
from ferris_web.executions.services.owners import owners_piece
from ferris_web.executions.services.rollups import AT_ONCE, rollups_piece
from ferris_web.executions.services.standings import standings_slide
from ferris_web.executions.services.tallies import tallies_piece
from gateway.role import Role

ROLLED: Final = b'{"rolled":true}'
"""A notice on `ferris.changes`: the roll-ups have changed."""
_RESTS: Final = 20
"""So many times as long as it took: the pause after each look at the map, which takes half a second where there are
10,000 services."""


class Roller(Role):
    """Sleeps until executions or the catalog change; counts what has ended at most once a second, in pieces between
    which it rests as long as they took: what there is to count from before roll-ups, and what periods have left behind,
    is not in the way of what happens now."""

    breath = 1.0
    longest_rest = 60.0
    """A look now and then: periods go on, and a notice may be lost."""

    def __init__(self, event_log: EventLog) -> None:
        super().__init__()
        self._log = event_log
        self._consumer = event_log.tail([CHANGES, CONTROL])
        self._map_from = 0.0  # by the monotonic clock

    def turn(self) -> None:
        changed, left = False, True
        while left and not self.stopping.is_set():
            began, now = time.monotonic(), datetime.now(UTC)
            counted, slid, failed = rollups_piece(now), standings_slide(now), failures_piece()
            changed |= bool(counted or slid or failed)
            left = counted == AT_ONCE or slid > 0 or failed == FAILURES_AT_ONCE
            left |= bool(owners_piece() or tallies_piece(now))
            if left:
                self.stopping.wait(time.monotonic() - began)
        if artifacts_look(datetime.now(UTC)) or changed:
            self._log.append(CHANGES, [Record(ROLLED)])
        while records := self._consumer.poll(1000, timeout=self._renew_map()):
            if not all(record.value.startswith((ROLLED, EVENTS_TOLD)) for record in records):
                return

    def _renew_map(self) -> float:
        """Look at the map if it is time; how long to sleep."""
        began = time.monotonic()
        if began < self._map_from:
            return min(self._map_from - began, self.longest_rest)
        bonds_renew(datetime.now(UTC))
        over = time.monotonic()
        self._map_from = over + _RESTS * (over - began)
        return self.longest_rest

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        self._consumer.close()
