"""Adds up the values that scripts record by `context.metrics`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from ferris import events, metric_points
from ferris.config import CHANGES, METRICS
from ferris.errors import EventError
from ferris.ports import LogRecord, Record
from ferris_web.executions.services.metrics import metrics_take
from gateway.role import Reader
from gateway.roller import ROLLED

log = logging.getLogger(__name__)


class Meter(Reader):
    """Sums first, then the offset: a value that is read again is known. What is no such value is left to whoever
    searches for it."""

    group = "ferris.meter"
    topics = (METRICS,)
    at_once = 500
    breath = 0.5

    def handle(self, records: list[LogRecord]) -> None:
        now = datetime.now(UTC)
        points = [point for record in records if (point := _point(record, now)) is not None]
        if metrics_take(points, now):
            self.log.append(CHANGES, [Record(ROLLED)])


def _point(record: LogRecord, now: datetime) -> metric_points.Point | None:
    try:
        event = events.from_record(record.value, record.headers, now=now)
        return metric_points.point_of(event) if event.type == metric_points.TYPE else None
    except EventError as error:
        log.warning("a metric at %s:%s is left out: %s", record.topic, record.offset, error)
        return None
