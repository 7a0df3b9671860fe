"""Adds up the events that charts count: what comes, and for a new chart what the journal holds."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ferris.config import CHANGES
from ferris.ports import EventLog, Record
from ferris_web.executions.services.chart_counting import AT_ONCE, entries_piece, fill_piece
from gateway.listener import Listener
from gateway.notices import CHARTS, Notices
from gateway.roller import ROLLED


class Charter(Listener):
    """What comes is counted at most once a second; the past in pieces, between which it rests as long as they took
    and looks at what came: a long past is in nobody's way."""

    own = CHARTS
    breath = 1.0

    def __init__(self, event_log: EventLog, notices: Notices) -> None:
        super().__init__(notices)
        self._log = event_log

    def turn(self) -> None:
        while not self.stopping.is_set():
            began = time.monotonic()
            counted = entries_piece()
            past = fill_piece(datetime.now(UTC))
            if counted or past.read:
                self._log.append(CHANGES, [Record(ROLLED)])
            if counted < AT_ONCE and not past.read:
                self.rest(self.until(past.again))
                return
            self.stopping.wait(time.monotonic() - began)
