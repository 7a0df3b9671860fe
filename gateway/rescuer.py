"""Finds what got stuck and sets it going again: doorbells nobody answered, executors that stopped answering."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from ferris import events, lanes, lifecycle
from ferris.adapters import log_lines
from ferris.config import LIFECYCLE
from ferris.ports import EventLog, Record
from ferris_web.executions.models import Execution
from ferris_web.executions.services.admission import gates_waiting
from ferris_web.executions.services.claims import executions_orphaned, leases_bound
from ferris_web.executions.services.ringing import executions_silence, executions_unanswered
from gateway import doorbell
from gateway.admission import admit
from gateway.role import Role
from gateway.spill import SPILL

log = logging.getLogger(__name__)

_UNANSWERED = timedelta(seconds=10)


class Rescuer(Role):
    """Looks every few seconds. Same code on every broker.

    An expired lease is only *reported* here, on the log beside the executor's own reports: the recorder, who
    reads them in their order, knows whether user code had begun.
    """

    def __init__(
        self, event_log: EventLog, lease_seconds: float, *, engine_began: datetime | None = None
    ) -> None:
        """`engine_began`: when the engine that holds broker and workers did, should there be one. What was claimed and
        rung before is nobody's, which its first look finds; its own workers are at work by then."""
        super().__init__()
        self._log = event_log
        self._lease = lease_seconds
        self._period = min(5.0, lease_seconds / 3)
        self._engine_began = engine_began
        self._lenient_until = 0.0

    def wake(self) -> None:
        pass  # `stopping` is what it waits for

    def turn(self) -> None:
        now = datetime.now(UTC)
        if (
            self.failures
        ):  # the database was away, so nobody could renew a lease: who lives gets time to do so
            self._lenient_until = time.monotonic() + self._lease
        if self._engine_began or time.monotonic() >= self._lenient_until:
            self.end_leases(now)
        self.ring_again(now)
        self._engine_began = None
        self.stopping.wait(self._period)

    def end_leases(self, now: datetime) -> None:
        """Report executions whose executor is gone. After a restart of an engine no lease need run out first."""
        if leases_bound(now):
            log.warning("leases end later than they could: the clock was set back")
        gone = executions_orphaned(now, engine_began=self._engine_began)
        if gone:
            for row in gone:
                with log_lines.about(execution=row.id, flow=row.flow_id):
                    log.warning("the executor %s is gone", row.worker)
            self._log.append(
                LIFECYCLE, [Record(events.encode(_lease_expired(row, now)), key=str(row.id)) for row in gone]
            )

    def ring_again(self, now: datetime) -> None:
        """Ring for queued executions again where the queue that should hold their doorbells is empty, and for
        those that wait for room or to be admitted, should what makes room have gone unnoticed."""
        before = self._engine_began or now - _UNANSWERED
        for lane in executions_unanswered(before):
            if self._engine_began or doorbell.waiting(lane) == 0:
                executions_silence(lane, before)
        admit(self._log, dict.fromkeys(gates_waiting()))
        doorbell.ring_waiting(lanes.LANES)
        SPILL.look()


def _lease_expired(row: Execution, now: datetime) -> events.Event:
    return events.new(
        lifecycle.LEASE_EXPIRED,
        "ferris/gateway",
        {
            "execution": str(row.id),
            "attempt": row.attempt,
            "worker": row.worker,
            "service": row.service.name,
        },
        now=now,
        subject=str(row.id),
        correlation_id=row.flow_id,
    )
