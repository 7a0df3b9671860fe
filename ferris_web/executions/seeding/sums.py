"""The roll-ups of what is seeded, added up while it is made and written at once: the roller, which looks for rows and
changes them, would take several times as long as all the rest."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from ferris_web.executions.figures import PERIODS
from ferris_web.executions.models import Rollup, Standing
from ferris_web.executions.seeding.bulk import Table
from ferris_web.executions.services.rollups import SUMS, Key, Sum, row_id, rows_of

_OPEN: Final = timedelta(days=3)
"""Flows are made in the order of their begin, and none lasts so long."""
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Sums:
    """Takes executions that have ended. `settle` writes what nothing is added to any more, `finish` the rest."""

    def __init__(self) -> None:
        self._open: dict[datetime, dict[Key, Sum]] = defaultdict(dict)
        self._services: dict[UUID, int] = {}
        self._rollups = Table(Rollup, ("id", *_KEY, *SUMS))

    def take(
        self, project: int, service: UUID, outcome: tuple[str, str, str],
        times: tuple[datetime, datetime | None, datetime],
    ) -> None:  # fmt: skip
        """One execution. `outcome`: status, trigger type, lane; `times`: when it was made, began, ended."""
        self._services[service] = project
        for key in rows_of(times[0], project, service, outcome):
            self._open[key[1]].setdefault(key, Sum()).take(*times)

    def settle(self, moment: datetime) -> None:
        """Flows that begin from now on begin at that moment or later."""
        for start in [start for start in self._open if start < moment - _OPEN]:
            for key, one in self._open.pop(start).items():
                self._rollups.add(row_id(key), *key, *(getattr(one, name) for name in SUMS))
        if self._rollups.full:
            self._rollups.flush()

    def finish(self) -> None:
        """Write the rest, and for each service that something happened: the roller adds up how it stands."""
        self.settle(datetime.max.replace(tzinfo=UTC))
        self._rollups.flush()
        standings = Table(Standing, ("service_id", "project_id", "period", "oldest"))
        for service, project in self._services.items():
            for period in PERIODS:
                standings.add(service, project, period, _LONG_AGO)
        standings.flush()


_KEY = ("span", "start", "project_id", "service_id", "status", "trigger_type", "lane")
