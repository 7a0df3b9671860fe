"""Does the synchronisations that people, pushes and intervals ask for; sleeps while there is none."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ferris.config import CONTROL
from ferris.ports import EventLog
from ferris_web.catalog.sync_queue import LATER, sync_run_next, syncs_abandoned
from gateway.role import Role

GROUP = "ferris.syncer"
_LONGEST_WAIT = 30.0  # a look now and then, should a notice be lost or another gateway die


class Syncer(Role):
    """One sync at a time: it is mostly waiting for the network. Several gateways do several."""

    def __init__(self, event_log: EventLog) -> None:
        super().__init__()
        self._consumer = event_log.subscribe(GROUP, [CONTROL])
        self._looked = float("-inf")

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        self._consumer.close()

    def turn(self) -> None:
        now = datetime.now(UTC)
        if time.monotonic() - self._looked >= _LONGEST_WAIT:
            syncs_abandoned(now)
            self._looked = time.monotonic()
        more = sync_run_next(now)
        if more:
            return
        notices = self._consumer.poll(1000, timeout=LATER.total_seconds() if more is None else _LONGEST_WAIT)
        if notices:
            self._consumer.commit(notices)
