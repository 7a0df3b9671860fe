"""Works off bulk jobs, a piece of each in turn; with none running it sleeps until a notice comes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from ferris.config import CONTROL
from ferris.ports import EventLog
from ferris_web.executions.services import bulk
from gateway.role import Role

GROUP = "ferris.bulk"
_LONGEST_WAIT = 30.0  # a look now and then, should a notice be lost or another gateway die


class BulkWorker(Role):
    """A job is worked on by one gateway as long as that lives."""

    def __init__(self, event_log: EventLog, *, alone: bool = False) -> None:
        """`alone`: there is no other gateway, so what is being worked on was left by one that died."""
        super().__init__()
        self._consumer = event_log.subscribe(GROUP, [CONTROL])
        self._owner = uuid.uuid4().hex
        self._release = alone

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        self._consumer.close()

    def turn(self) -> None:
        now = datetime.now(UTC)
        if self._release:
            bulk.bulk_release()
            self._release = False
        going_on = [bulk.bulk_piece(job, now) for job in bulk.bulk_claim(self._owner, now)]
        notices = self._consumer.poll(1000, timeout=0.0 if any(going_on) else self._wait())
        if notices:
            self._consumer.commit(notices)

    def _wait(self) -> float:
        free = bulk.bulk_next_free()
        if free is None:
            return _LONGEST_WAIT
        return float(min(_LONGEST_WAIT, max(0.5, (free - datetime.now(UTC)).total_seconds())))
