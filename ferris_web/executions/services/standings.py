"""How services stand in each period that dashboards offer: sums that follow what is counted, and time.

What is counted is added in the transaction that counts it. What a period has left behind, because it goes on with each
hour or day, is found by the oldest hour or day that a service's sums still hold; they are then added up anew from
its roll-ups. Whoever does either holds the row: what another has not committed yet, the other adds afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, Min, Q, Sum

from ferris_web.executions.figures import PERIODS, Period
from ferris_web.executions.models import Rollup, Standing

AT_ONCE: Final = 100
"""Services whose sums are added up anew in one transaction, from at most 90 days of theirs."""
_SUMS = ("oldest", "count", "completed", "failed", "took_ms", "mean_ms", "took_most_ms")


class Share(NamedTuple):
    """Executions of a service with one outcome that were made in the same hour or day."""

    span: str
    start: datetime
    project: int
    service: UUID
    status: str
    count: int
    took_ms: int
    took_most_ms: int


def standings_add(shares: Iterable[Share], now: datetime) -> None:
    """Add what was just counted, within its transaction."""
    begins = [(period, period.since(now)) for period in PERIODS.values()]
    wanted: dict[tuple[UUID, str], list[Share]] = {}
    for share in shares:
        for period, since in begins:
            if share.span == period.span and share.start >= since:
                wanted.setdefault((share.service, period.name), []).append(share)
    found = Standing.objects.filter(service__in={service for service, _ in wanted}).order_by()
    known = set(found.values_list("service_id", "period"))
    # Here and below in one order: two who add at once wait for each other and not in a circle.
    Standing.objects.bulk_create(
        [
            Standing(service_id=key[0], period=key[1], project_id=wanted[key][0].project)
            for key in sorted(wanted.keys() - known)
        ],
        ignore_conflicts=True,
    )
    rows = [
        row
        for row in found.select_for_update().order_by("service_id", "period")
        if (row.service_id, row.period) in wanted
    ]
    for row in rows:
        for share in wanted[row.service_id, row.period]:
            _take(row, share)
    _write(rows)


def standings_slide(now: datetime, most: int = AT_ONCE) -> int:
    """Add some services up anew that count what is no longer in a period; how many. 0: there are none.

    One transaction; of two that do so at once each takes others.
    """
    for period in PERIODS.values():
        if slid := _slide(period, period.since(now), most):
            return slid
    return 0


def _slide(period: Period, since: datetime, most: int) -> int:
    skips = bool(connection.features.has_select_for_update_skip_locked)
    late = Standing.objects.filter(period=period.name, oldest__lt=since).order_by("oldest")
    if not late.exists():
        return 0
    with transaction.atomic():
        rows = list(late.select_for_update(skip_locked=skips)[:most])
        done = Q(status="completed")
        sums = {
            service: found
            for service, *found in Rollup.objects.filter(
                service__in=[row.service_id for row in rows], span=period.span, start__gte=since
            )
            .order_by()
            .values_list("service_id")
            .annotate(
                first=Min("start"),
                ended=Sum("count"),
                completed=Sum("count", filter=done, default=0),
                failed=Sum("count", filter=Q(status="failed"), default=0),
                took=Sum("took_ms", filter=done, default=0),
                longest=Max("took_most_ms"),
            )
        }
        for row in rows:
            row.oldest, row.count, row.completed, row.failed, row.took_ms, row.took_most_ms = sums.get(
                row.service_id, (None, 0, 0, 0, 0, 0)
            )
        _write(rows)
    return len(rows)


def _take(row: Standing, share: Share) -> None:
    row.oldest = min(row.oldest or share.start, share.start)
    row.count += share.count
    row.took_most_ms = max(row.took_most_ms, share.took_most_ms)
    if share.status == "completed":
        row.completed += share.count
        row.took_ms += share.took_ms
    elif share.status == "failed":
        row.failed += share.count


def _write(rows: list[Standing]) -> None:
    for row in rows:
        row.mean_ms = row.took_ms / row.completed if row.completed else None
    Standing.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=_SUMS)
