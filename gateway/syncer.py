"""Does the synchronisations that people, pushes and intervals ask for; sleeps while there is none."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ferris_web.catalog.sync_queue import LATER, sync_run_next, syncs_abandoned
from gateway.listener import Listener
from gateway.notices import Notices


class Syncer(Listener):
    """One sync at a time: it is mostly waiting for the network. Several gateways do several."""

    def __init__(self, notices: Notices) -> None:
        super().__init__(notices)
        self._looked = float("-inf")

    def turn(self) -> None:
        now = datetime.now(UTC)
        if time.monotonic() - self._looked >= self.longest_rest:
            syncs_abandoned(now)
            self._looked = time.monotonic()
        more = sync_run_next(now)
        if more:
            return
        self.rest(LATER.total_seconds() if more is None else self.longest_rest)
