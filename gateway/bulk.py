"""Works off bulk jobs, a piece of each in turn; with none running it sleeps until a notice comes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from ferris_web.executions.services import bulk
from gateway.listener import Listener
from gateway.notices import Notices


class BulkWorker(Listener):
    """A job is worked on by one gateway as long as that lives."""

    def __init__(self, notices: Notices, *, alone: bool = False) -> None:
        """`alone`: there is no other gateway, so what is being worked on was left by one that died."""
        super().__init__(notices)
        self._owner = uuid.uuid4().hex
        self._release = alone

    def turn(self) -> None:
        now = datetime.now(UTC)
        if self._release:
            bulk.bulk_release()
            self._release = False
        going_on = [bulk.bulk_piece(job, now) for job in bulk.bulk_claim(self._owner, now)]
        self.rest(0.0 if any(going_on) else max(0.5, self.until(bulk.bulk_next_free())))
