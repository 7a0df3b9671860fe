"""What a service recorded by `context.metrics`, over a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ferris_web.catalog.models import Service
from ferris_web.executions.figures import Period
from ferris_web.executions.models import MetricRollup, MetricSeries

AGGREGATES = {
    "average": lambda row: row.total / row.count,
    "sum": lambda row: row.total,
    "least": lambda row: row.least,
    "most": lambda row: row.most,
    "last": lambda row: row.last_value,
    "count": lambda row: row.count,
}
"""How the values of an hour or day become one."""


@dataclass
class Recorded:
    """A series and its sums: one for each span of the period, None where nothing was recorded."""

    series: MetricSeries
    spans: list[MetricRollup | None]

    def values(self, aggregate: str) -> list[float | None]:
        """One value for each span."""
        return [None if row is None else AGGREGATES[aggregate](row) for row in self.spans]


def metric_list(service: Service, period: Period, now: datetime) -> list[Recorded]:
    """All series of a service, by name. Two queries."""
    found: dict[UUID, Recorded] = {
        row.pk: Recorded(row, [None] * period.count) for row in MetricSeries.objects.filter(service=service)
    }
    since = period.since(now)
    rows = MetricRollup.objects.filter(series__in=list(found), span=period.span, start__gte=since).order_by()
    for row in rows:
        place = round((row.start - since) / period.length)
        if 0 <= place < period.count:
            found[row.series_id].spans[place] = row
    return list(found.values())
