"""Throws away what is older than its stated retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ferris.ports import EventLog, OpsStore
from ferris_web.accounts.repeats import repeats_prune
from ferris_web.executions.services import artifacts_prune, log_archives_prune
from gateway.role import Role

_PERIOD = 3600.0


class Housekeeper(Role):
    """Once an hour: the log by each topic's retention, what executions left behind by the platform's."""

    def __init__(self, event_log: EventLog, ops_store: OpsStore, retention_days: int) -> None:
        super().__init__()
        self._log, self._store, self._days = event_log, ops_store, retention_days

    def turn(self) -> None:
        if self.stopping.wait(_PERIOD):
            return
        now = datetime.now(UTC)
        self._log.prune(now)
        repeats_prune(now)
        self._store.prune(now - timedelta(days=self._days))
        artifacts_prune(now - timedelta(days=self._days))
        log_archives_prune(now - timedelta(days=self._days))
