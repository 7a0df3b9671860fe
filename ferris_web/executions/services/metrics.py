"""Values that scripts recorded are added up, each once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count

from ferris.metric_points import Point
from ferris_web.executions.models import (
    ROLLUPS_KEPT,
    Execution,
    MetricPoint,
    MetricRollup,
    MetricSeries,
    Rollup,
)

MOST_SERIES: Final = 200
"""Of one service: names times combinations of labels. Values of further ones are not kept."""
REPEATS_KEPT: Final = timedelta(days=10)
_NAMESPACE: Final = UUID("0d1f3c9e-9a54-4a0c-8a5b-6a1d5f0b7c22")
_AT_ONCE: Final = 500
_SERIES_FIELDS = ("unit", "last_value", "last_at")
_SUMS = ("count", "total", "least", "most", "last_value", "last_at")


def metrics_take(points: Sequence[Point], now: datetime) -> int:
    """Add values up; how many are new. One transaction: a value that comes again changes nothing."""
    with transaction.atomic():
        wanted = {point.key: point for point in points}
        wanted = {key: wanted[key] for key in wanted.keys() - _known(wanted)}
        executions = {point.execution for point in wanted.values()}
        found = Execution.objects.filter(pk__in=executions).order_by().values_list("pk", "service_id")
        services = dict(found)
        fresh = [
            (_series_id(services[point.execution], point), point)
            for point in sorted(wanted.values(), key=lambda one: (one.at, one.key))
            if point.execution in services
        ]
        if not fresh:
            return 0
        # Not ignoring conflicts: should another gateway take the same ones, one of the two begins anew.
        MetricPoint.objects.bulk_create(MetricPoint(id=point.key, taken_at=now) for _, point in fresh)
        series = _series(fresh, services)
        kept = [(pk, point) for pk, point in fresh if pk in series]
        for pk, point in kept:
            _newest(series[pk], point).unit = point.unit
        MetricSeries.objects.bulk_create(
            series.values(), update_conflicts=True, unique_fields=["id"], update_fields=_SERIES_FIELDS
        )
        _add(kept)
    return len(kept)


def metrics_prune(now: datetime, *, stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove sums that are older than roll-ups are kept, series of which nothing is left, and marks of values that
    cannot come again."""
    old = [
        MetricPoint.objects.filter(taken_at__lt=now - REPEATS_KEPT).order_by("taken_at"),
        *(
            MetricRollup.objects.filter(span=span, start__lt=now - kept).order_by("start")
            for span, kept in ROLLUPS_KEPT.items()
        ),
        MetricSeries.objects.filter(last_at__lt=now - ROLLUPS_KEPT[Rollup.Span.DAY]).order_by("last_at"),
    ]
    for rows in old:
        while not stopped():
            keys = list(rows.values_list("pk", flat=True)[:_AT_ONCE])
            if not keys:
                break
            rows.model.objects.filter(pk__in=keys).delete()


def _known(wanted: dict[UUID, Point]) -> set[UUID]:
    return set(MetricPoint.objects.filter(pk__in=wanted).values_list("pk", flat=True))


def _series_id(service: UUID, point: Point) -> UUID:
    return uuid.uuid5(_NAMESPACE, json.dumps([str(service), point.name, dict(point.labels)], sort_keys=True))


def _series(fresh: Sequence[tuple[UUID, Point]], services: dict[UUID, UUID]) -> dict[UUID, MetricSeries]:
    """Their series, nobody else's until the transaction ends; new ones as far as a service may have more."""
    ids = {pk for pk, _ in fresh}
    known = {
        row.pk: row for row in MetricSeries.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    }
    new = [(pk, point) for pk, point in fresh if pk not in known]
    owners = {services[point.execution] for _, point in new}
    counts = dict(
        MetricSeries.objects.filter(service_id__in=owners)
        .order_by()
        .values_list("service_id")
        .annotate(n=Count("pk"))
    )
    for pk, point in new:
        service = services[point.execution]
        if pk not in known and counts.get(service, 0) < MOST_SERIES:
            counts[service] = counts.get(service, 0) + 1
            known[pk] = MetricSeries(
                id=pk, service_id=service, name=point.name, labels=dict(point.labels), last_value=point.value,
                last_at=point.at,
            )  # fmt: skip
    return dict(sorted(known.items()))


def _newest(row: Any, point: Point) -> Any:
    if point.at >= row.last_at:
        row.last_value, row.last_at = point.value, point.at
    return row


def _add(kept: Sequence[tuple[UUID, Point]]) -> None:
    wanted: dict[UUID, list[tuple[MetricRollup, Point]]] = {}
    for series, point in kept:
        hour = point.at.replace(minute=0, second=0, microsecond=0)
        for span, start in ((Rollup.Span.HOUR, hour), (Rollup.Span.DAY, hour.replace(hour=0))):
            pk = uuid.uuid5(series, f"{span.value}|{start}")
            row = MetricRollup(
                id=pk, series_id=series, span=span.value, start=start, least=point.value, most=point.value,
                last_value=point.value, last_at=point.at,
            )  # fmt: skip
            wanted.setdefault(pk, []).append((row, point))
    ids = sorted(wanted)
    MetricRollup.objects.bulk_create([wanted[pk][0][0] for pk in ids], ignore_conflicts=True)
    rows = list(MetricRollup.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    for row in rows:
        for _, point in wanted[row.pk]:
            row.count += 1
            row.total += point.value
            row.least, row.most = min(row.least, point.value), max(row.most, point.value)
            _newest(row, point)
    MetricRollup.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=_SUMS)
