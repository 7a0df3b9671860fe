"""Throws away what is older than its stated retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ferris.ports import EventLog, OpsStore
from ferris_web.accounts.allowances import allowances_prune
from ferris_web.accounts.repeats import repeats_prune
from ferris_web.accounts.services import sessions_prune
from ferris_web.catalog.secret_texts import hides
from ferris_web.catalog.value_history import changes_prune, values_look
from ferris_web.executions.services import artifacts_prune, log_archives_prune
from ferris_web.executions.services.chart_counting import charts_prune
from ferris_web.executions.services.deliveries import deliveries_prune
from ferris_web.executions.services.metrics import metrics_prune
from ferris_web.executions.services.notices import notices_prune
from ferris_web.executions.services.retention import journal_prune
from ferris_web.executions.services.rollups import rollups_prune
from gateway.role import Role

_PERIOD = 3600.0


class Housekeeper(Role):
    """Once an hour: the log by each topic's retention, what executions left behind by the platform's, the journal
    and the history of configuration and state by their own."""

    def __init__(
        self,
        event_log: EventLog,
        ops_store: OpsStore,
        retention_days: int,
        journal_days: int,
        history_days: int,
    ) -> None:
        super().__init__()
        self._log, self._store = event_log, ops_store
        self._days, self._journal_days, self._history_days = retention_days, journal_days, history_days

    def turn(self) -> None:
        if self.stopping.wait(_PERIOD):
            return
        now = datetime.now(UTC)
        self._log.prune(now)
        repeats_prune(now)
        allowances_prune(now)
        sessions_prune(now)
        self._store.prune(now - timedelta(days=self._days))
        artifacts_prune(now - timedelta(days=self._days))
        log_archives_prune(now - timedelta(days=self._days))
        notices_prune(now - timedelta(days=self._days))
        deliveries_prune(now - timedelta(days=self._days), stopped=self.stopping.is_set)
        rollups_prune(now, stopped=self.stopping.is_set)
        charts_prune(now, stopped=self.stopping.is_set)
        metrics_prune(now, stopped=self.stopping.is_set)
        journal_prune(now - timedelta(days=self._journal_days), now, stopped=self.stopping.is_set)
        values_look(now, lambda place, value: hides(place.owner, value))
        changes_prune(now - timedelta(days=self._history_days), stopped=self.stopping.is_set)
