"""Moves executions from an overloaded lane to one whose executors are idle."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from ferris import lanes
from ferris_web.executions.crews import crews
from ferris_web.executions.services import Doorbell
from ferris_web.executions.services.ringing import executions_spill
from ferris_web.executions.services.urgency import lanes_paused
from gateway import doorbell

_LOOK_LASTS: Final = 1.0  # seconds


class Spill:
    """Looks who is idle, and gives them what others have too much of: when executors report, at most once a second.

    Where all workers serve the same lanes a look is one short query.
    """

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._next_look = 0.0

    def look(self) -> None:
        """Move what there is to move, unless somebody has just looked."""
        with self._looking:
            if time.monotonic() < self._next_look:
                return
            self._next_look = time.monotonic() + _LOOK_LASTS
        doorbell.ring(spilled(datetime.now(UTC)))


def spilled(now: datetime) -> Iterator[Doorbell]:
    """The doorbells of executions that are now in another lane than before."""
    found = crews(now)
    if len({crew.lanes for crew in found}) < 2:
        return
    paused = lanes_paused()
    waiting = {lane: doorbell.waiting(lane) for lane in lanes.LANES if lane not in paused}
    open_ = [lanes.Crew(crew.lanes - paused.keys(), crew.slots, crew.running) for crew in found]
    for (source, target), count in lanes.spills(open_, waiting).items():
        yield from executions_spill(source, target, count, now)


SPILL: Final = Spill()
"""Of this process: its roles share the second."""
