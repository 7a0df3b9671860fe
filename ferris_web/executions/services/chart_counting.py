"""Events are added up for charts, each once.

The router writes an entry with every event that some chart counts, in the transaction that takes the event in; whoever
counts takes entries away in the transaction that adds. What was in the journal before a chart was made had no entry:
it was matched with an older catalog, which the event's row says, and is counted by walking the journal, with the
place kept beside the sums. So each event counts once, whoever dies and however many count.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from ferris.chart_sums import NONE, Group, Sum, group_of, value_of
from ferris.events import Event
from ferris.ports import LogRecord
from ferris.replaying import MARK
from ferris.routing import FilterError, RoutingTable, Trigger
from ferris_web.executions.backtesting import types_named
from ferris_web.executions.journal import event_of, journal_chunks
from ferris_web.executions.models import (
    ROLLUPS_KEPT,
    Chart,
    ChartEntry,
    ChartFeed,
    ChartSum,
    Execution,
    Rollup,
)
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.services.replays import SETTLING

AT_ONCE: Final = 300
"""A transaction is to be short: on SQLite nobody else writes meanwhile."""
_SUMS: Final = ("count", "total", "least", "most", "last", "last_at")
_FED: Final = ("groups", "counted", "left_out", "filled", "place_at", "place_key")
_Place = tuple[str, datetime, Group]


def entries_write(fresh: Mapping[UUID, tuple[Event, LogRecord]], table: RoutingTable | None) -> bool:
    """An entry for each of these new events that some chart counts; True when there are some. Replayed events
    happened before, and counted then."""
    if table is None:
        return False
    keys = [
        key for key, (event, _) in fresh.items() if MARK not in event.extensions and any(table.match(event))
    ]
    ChartEntry.objects.bulk_create([ChartEntry(key=key) for key in keys], ignore_conflicts=True)
    return bool(keys)


def entries_piece(most: int = AT_ONCE) -> int:
    """Count some of the events that have an entry; how many. Less than `most`: there are no more.

    One transaction; of two that do so at once each takes others.
    """
    skips = bool(connection.features.has_select_for_update_skip_locked)
    with transaction.atomic():
        entries = ChartEntry.objects.order_by("key").select_for_update(skip_locked=skips)
        keys = list(entries.values_list("key", flat=True)[:most])
        if keys:
            rows = list(EventRow.objects.filter(key__in=keys).order_by("received_at", "key"))
            _take(_held(Chart.objects.filter(source=Chart.Source.EVENTS)), rows, _came_as_entry)
            ChartEntry.objects.filter(key__in=keys).delete()
    return len(keys)


@dataclass(frozen=True)
class Filled:
    """How many events of the past were looked at, and when there is more to do; None: nothing is left."""

    read: int
    again: datetime | None


def fill_piece(now: datetime, most: int = AT_ONCE) -> Filled:
    """Count some of the journal's past, for one chart that lacks it. One transaction."""
    skips = bool(connection.features.has_select_for_update_skip_locked)
    with transaction.atomic():
        lacking = Chart.objects.filter(source=Chart.Source.EVENTS, feed__filled=False)
        # Whose end waits for transactions under way lets the others go first.
        charts = _held(lacking.order_by("feed__fill_until", "pk"), skip_locked=skips, most=20)
        again = []
        for chart in charts:
            feed = chart.feed
            settled = feed.fill_until + SETTLING
            rows = _past(chart, feed, min(feed.fill_until, now - SETTLING), most)
            if rows:
                feed.place_at, feed.place_key = rows[-1].received_at, rows[-1].key
            if len(rows) < most and now >= settled:
                feed.filled = True
            elif not rows:
                again.append(settled)
                continue
            _take([chart], rows, lambda feed, row: row.revision < feed.revision)
            return Filled(len(rows), now)
    return Filled(0, min(again, default=None))


def charts_prune(now: datetime, *, stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove sums that are older than roll-ups are kept, some at a time."""
    for span, kept in ROLLUPS_KEPT.items():
        while not stopped():
            old = ChartSum.objects.filter(span=span, start__lt=now - kept).order_by("start", "id")
            keys = list(old.values_list("pk", flat=True)[:AT_ONCE])
            if not keys:
                break
            ChartSum.objects.filter(pk__in=keys).delete()


def _held(rows: Any, *, skip_locked: bool = False, most: int | None = None) -> list[Chart]:
    """Charts that nobody else counts for or changes until the transaction ends, always in one order."""
    rows = rows if rows.query.order_by else rows.order_by("pk")
    held = list(rows.select_for_update(of=("self",), skip_locked=skip_locked)[:most])
    feeds = ChartFeed.objects.in_bulk([chart.pk for chart in held])  # read once they are ours
    found = []
    for chart in held:
        if chart.pk in feeds:
            chart.feed = feeds[chart.pk]
            found.append(chart)
    return found


def _past(chart: Chart, feed: ChartFeed, until: datetime, most: int) -> list[EventRow]:
    if until <= feed.fill_since:
        return []
    older = Q(revision__lt=feed.revision)
    types = types_named([chart.event_type])
    place = None if feed.place_at is None else (feed.place_at, feed.place_key)
    chunks = journal_chunks(
        feed.fill_since,
        until,
        types=older if types is None else types & older,
        after=place,
        at_once=most,
        projects=None if chart.project_id is None else frozenset((chart.project_id,)),
    )
    return next(chunks, [])


def _came_as_entry(feed: ChartFeed, row: EventRow) -> bool:
    return bool(row.revision >= feed.revision)


def _take(
    charts: Sequence[Chart], rows: Sequence[EventRow], counts: Callable[[ChartFeed, EventRow], bool]
) -> None:
    """Add events to the charts that count them, and write both down."""
    by_id = {str(chart.pk): chart for chart in charts}
    matched = _matched(charts, rows)
    seen = _seen_by(charts, [row for row, _ in matched])
    sums: dict[UUID, dict[_Place, Sum]] = {}
    for row, triggers in matched:
        event = event_of(row)
        for trigger in triggers:
            chart = by_id[trigger.service_id]
            mine = chart.project_id is None or (row.flow_id, chart.project_id) in seen
            if mine and counts(chart.feed, row):
                _count(chart, event, row.received_at, sums.setdefault(chart.pk, {}))
    for chart in charts:
        if chart.pk in sums:
            _add(chart, sums[chart.pk])
    ChartFeed.objects.bulk_update([chart.feed for chart in charts], _FED)


def _matched(charts: Sequence[Chart], rows: Sequence[EventRow]) -> list[tuple[EventRow, list[Trigger]]]:
    table = triggers_table(charts)
    found = []
    for row in rows:
        if row.replay_id is None and (triggers := list(table.match(event_of(row)))):
            found.append((row, triggers))
    return found


def triggers_table(charts: Iterable[Chart]) -> RoutingTable:
    """Which of these charts count an event."""
    return RoutingTable(
        [Trigger(str(c.pk), c.title, c.event_type, filter=c.filter, cesql=c.cesql or None) for c in charts],
        _refused,
    )


def _refused(trigger: Trigger, error: FilterError | ValueError) -> None:
    """Checked when it was saved; an older release may have taken what this one does not."""


def _seen_by(charts: Sequence[Chart], rows: Sequence[EventRow]) -> set[tuple[str, int]]:
    """Which flows run through which of the charts' projects. An event belongs to those."""
    projects = {chart.project_id for chart in charts if chart.project_id is not None}
    if not projects or not rows:
        return set()
    runs = Execution.objects.filter(
        flow_id__in={row.flow_id for row in rows}, service__project__in=projects
    ).order_by()
    return set(runs.values_list("flow_id", "service__project_id").distinct())


def _count(chart: Chart, event: Event, at: datetime, sums: dict[_Place, Sum]) -> None:
    feed = chart.feed
    value = value_of(event, chart.value_path)
    if value is None:
        feed.left_out += 1
        return
    group = group_of(event, chart.group_path, feed.groups)
    if not group.rest and group.name != NONE and group.name not in feed.groups:
        feed.groups.append(group.name)
    feed.counted += 1
    hour = at.replace(minute=0, second=0, microsecond=0)
    for span, start in ((Rollup.Span.HOUR, hour), (Rollup.Span.DAY, hour.replace(hour=0))):
        sums.setdefault((span.value, start, group), Sum()).take(value, at)


def _add(chart: Chart, sums: Mapping[_Place, Sum]) -> None:
    wanted = {_id(chart, place): place for place in sums}
    known = {row.pk: row for row in ChartSum.objects.filter(pk__in=wanted).order_by("pk")}
    for pk, place in wanted.items():
        span, start, group = place
        found = sums[place]
        if pk in known:
            found.add(sum_of(known[pk]))
        known[pk] = ChartSum(
            id=pk, chart=chart, span=span, start=start, group=group.name, rest=group.rest, count=found.count,
            total=found.total, least=found.least, most=found.most, last=found.last, last_at=found.at,
        )  # fmt: skip
    ChartSum.objects.bulk_create(
        known.values(), update_conflicts=True, unique_fields=["id"], update_fields=_SUMS
    )


def sum_of(row: ChartSum) -> Sum:
    """What a row holds."""
    return Sum(row.count, row.total, row.least, row.most, row.last, row.last_at)


def _id(chart: Chart, place: _Place) -> UUID:
    span, start, group = place
    return uuid.uuid5(chart.pk, f"{span}|{start.isoformat()}|{group.rest}|{group.name}")
