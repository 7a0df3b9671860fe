"""Adds up executions that have ended, soon after they have, looks at what they left for charts, and says so."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from ferris.config import CHANGES
from ferris.ports import EventLog, Record
from ferris_web.executions.services.changes import EVENTS_TOLD
from ferris_web.executions.services.chart_answers import artifacts_look
from ferris_web.executions.services.rollups import AT_ONCE, rollups_piece
from gateway.role import Role

ROLLED: Final = b'{"rolled":true}'
"""A notice on `ferris.changes`: the roll-ups have changed."""


class Roller(Role):
    """Sleeps until executions change; counts what has ended at most once a second, in pieces between which it rests
    as long as they took: what there is to count from before roll-ups is not in the way of what happens now."""

    breath = 1.0
    longest_rest = 60.0
    """A look now and then, should a notice be lost."""

    def __init__(self, event_log: EventLog) -> None:
        super().__init__()
        self._log = event_log
        self._consumer = event_log.tail([CHANGES])

    def turn(self) -> None:
        began = time.monotonic()
        counted = found = rollups_piece()
        while found == AT_ONCE and not self.stopping.wait(time.monotonic() - began):
            began = time.monotonic()
            found = rollups_piece()
        if artifacts_look(datetime.now(UTC)) or counted:
            self._log.append(CHANGES, [Record(ROLLED)])
        while records := self._consumer.poll(1000, timeout=self.longest_rest):
            if not all(record.value.startswith((ROLLED, EVENTS_TOLD)) for record in records):
                return

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        self._consumer.close()
