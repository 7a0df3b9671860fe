"""What charts that people defined show: read from sums and kept answers. Nothing is counted or fetched for a view."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.utils import dateformat
from django.utils.translation import gettext, gettext_noop

from ferris import chart_json, chart_sums
from ferris.chart_json import ChartProblem
from ferris.chart_sums import Group, Look, Sum
from ferris.charts import Chart
from ferris_web import wiring
from ferris_web.executions.backtesting import types_named
from ferris_web.executions.figures import PERIODS, Period
from ferris_web.executions.journal import event_of, journal_chunks
from ferris_web.executions.models import Chart as Row
from ferris_web.executions.models import ChartSum, MetricRollup, MetricSeries
from ferris_web.executions.services.chart_answers import (
    Answer,
    artifact_read,
    ask,
    completed_last,
    question_of,
)
from ferris_web.executions.services.chart_counting import sum_of, triggers_table

_Sums = dict[tuple[int, Group], Sum]
_Source = Row.Source
TRIED: Final = 2_000
"""So many events of the journal are looked at to try a chart out."""
SAID: Final = (
    *(gettext_noop("count"), gettext_noop("sum"), gettext_noop("average"), gettext_noop("least")),
    *(gettext_noop("most"), gettext_noop("last"), gettext_noop("other"), gettext_noop("none")),
    *(gettext_noop("Group"), gettext_noop("events")),
)
"""The words of `chart_sums`, which knows no language: they are translated when they are shown."""
_COLUMNS: Final = {"hour": gettext_noop("Hour, UTC"), "day": gettext_noop("Day, UTC")}


@dataclass(frozen=True)
class Charted:
    """A chart as it is drawn, and how far that can be trusted.

    `of`: when its answer came; None without one, and for what is added up. `filled`: the part of the past that is
    counted, None when nothing is left to be. `problem`: why there is nothing newer.
    """

    row: Row
    period: Period
    drawn: Chart
    of: datetime | None = None
    filled: float | None = None
    left_out: int = 0
    problem: str = ""
    failing_since: datetime | None = None

    @property
    def pending(self) -> bool:
        """True when it shows what it is told, and was told nothing yet."""
        return self.row.source in (_Source.ARTIFACT, _Source.URL) and self.of is None


def period_of(row: Row, asked: Period) -> Period:
    """Its own, or that of the dashboard."""
    return PERIODS.get(row.period, asked)


def charted(rows: Sequence[Row], asked: Period, now: datetime) -> list[Charted]:
    """These charts, each drawn. At most two queries for sums and three for metrics, however many there are."""
    counted = [row for row in rows if row.source == _Source.EVENTS]
    measured = [row for row in rows if row.source == _Source.METRICS]
    sums = _event_sums(counted, asked, now) | _metric_sums(measured, asked, now)
    return [_drawn(row, asked, now, sums.get(row.pk, {})) for row in rows]


def _drawn(row: Row, asked: Period, now: datetime, sums: _Sums) -> Charted:
    period, feed = period_of(row, asked), row.feed
    if row.source in (_Source.EVENTS, _Source.METRICS):
        filled = None
        if not feed.filled:
            whole = (feed.fill_until - feed.fill_since).total_seconds()
            filled = (feed.place_at - feed.fill_since).total_seconds() / whole if feed.place_at else 0.0
        return Charted(row, period, _of_sums(row, period, now, sums), None, filled, feed.left_out)
    return Charted(
        row,
        period,
        _of_answer(row, feed.answer),
        feed.answered_at,
        problem=feed.problem,
        failing_since=feed.failing_since,
    )


def _of_sums(row: Row, period: Period, now: datetime, sums: _Sums) -> Chart:
    since = period.since(now)
    starts = [since + period.length * n for n in range(period.count)]
    day = gettext("d M")
    labels = [f"{one:%H:%M}" if period.span == "hour" else dateformat.format(one, day) for one in starts]
    grouped = bool(row.group_path) if row.source == _Source.EVENTS else any(group.name for _, group in sums)
    look = Look(row.kind, row.title, row.aggregate, row.unit, grouped, row.groups_shown)
    return chart_sums.drawn(look, labels, sums, gettext(_COLUMNS[period.span]), gettext)


def _of_answer(row: Row, answer: object) -> Chart:
    try:
        said = chart_json.drawn(answer)
    except ChartProblem:  # there is none
        return Chart(row.kind, row.title, unit=row.unit)
    series = [replace(one, name=_series_name(n, one.name)) for n, one in enumerate(said.series, start=1)]
    return Chart(
        row.kind, row.title, said.labels, series, row.unit or said.unit, gettext("Label"), adds=False
    )


def _series_name(number: int, name: str) -> str:
    """In the viewer's language where the answer gave none: `chart_json` numbered it, and so it is stored."""
    return gettext("series {number}").format(number=number) if name == f"series {number}" else name


def _event_sums(rows: Sequence[Row], asked: Period, now: datetime) -> dict[UUID, _Sums]:
    found: dict[UUID, _Sums] = {row.pk: {} for row in rows}
    places = {row.pk: period_of(row, asked) for row in rows}
    for span, charts in _by_span(places).items():
        since = min(places[pk].since(now) for pk in charts)
        sums = ChartSum.objects.filter(chart__in=charts, span=span, start__gte=since).order_by()
        for one in sums:
            place = _place(places[one.chart_id], one.start, now)
            if place is not None:
                group = Group(one.group, one.rest)
                found[one.chart_id].setdefault((place, group), Sum()).add(sum_of(one))
    return found


def _metric_sums(rows: Sequence[Row], asked: Period, now: datetime) -> dict[UUID, _Sums]:
    found: dict[UUID, _Sums] = {row.pk: {} for row in rows}
    if not rows:
        return found
    wanted = Q()
    for row in rows:
        wanted |= Q(service=row.service_id, name=row.metric)
    series = {one.pk: one for one in MetricSeries.objects.filter(wanted)}
    for row in rows:
        row.unit = row.unit or _unit(row, series.values())
    places = {row.pk: period_of(row, asked) for row in rows}
    for span, charts in _by_span(places).items():
        since = min(places[pk].since(now) for pk in charts)
        mine = [row for row in rows if row.pk in charts]
        sums = MetricRollup.objects.filter(series__in=list(series), span=span, start__gte=since).order_by()
        for one in sums:
            about = series[one.series_id]
            value = Sum(one.count, one.total, one.least, one.most, one.last_value, one.last_at)
            group = Group(", ".join(f"{key} {text}" for key, text in sorted(about.labels.items())))
            for row in mine:
                place = _place(places[row.pk], one.start, now)
                if (about.service_id, about.name) == (row.service_id, row.metric) and place is not None:
                    found[row.pk].setdefault((place, group), Sum()).add(value)
    return found


def _unit(row: Row, series: Collection[MetricSeries]) -> str:
    if row.aggregate == chart_sums.COUNT:
        return ""
    units = (s.unit for s in series if (s.service_id, s.name) == (row.service_id, row.metric) and s.unit)
    return next(units, "")


def _by_span(places: Mapping[UUID, Period]) -> dict[str, set[UUID]]:
    found: dict[str, set[UUID]] = {}
    for pk, period in places.items():
        found.setdefault(period.span, set()).add(pk)
    return found


def _place(period: Period, at: datetime, now: datetime) -> int | None:
    place = (at - period.since(now)) // period.length
    return place if 0 <= place < period.count else None


# --- tried out ---------------------------------------------------------------------------------------


def tried(row: Row, asked: Period, now: datetime) -> Charted:
    """A chart that is not saved yet, with what there is for it: of events the latest, of what is fetched the answer
    of this moment."""
    period = period_of(row, asked)
    if row.source == _Source.EVENTS:
        sums, left_out = _tried_events(row, period, now)
        return Charted(row, period, _of_sums(row, period, now, sums), left_out=left_out)
    if row.source == _Source.METRICS:
        sums = _metric_sums([row], asked, now)[row.pk]
        return Charted(row, period, _of_sums(row, period, now, sums))
    answer = _tried_answer(row)
    said = answer.drawn.as_json() if answer.drawn is not None else None
    return Charted(
        row, period, _of_answer(row, said), now if said else None, problem=answer.problem, failing_since=now
    )


def _tried_events(row: Row, period: Period, now: datetime) -> tuple[_Sums, int]:
    projects = None if row.project_id is None else frozenset((row.project_id,))
    chunks = journal_chunks(
        period.since(now), now, types=types_named([row.event_type]), newest_first=True, projects=projects,
        at_once=500,
    )  # fmt: skip
    table = triggers_table([row])
    sums: _Sums = {}
    known: list[str] = []
    left_out = 0
    for one in islice((one for chunk in chunks for one in chunk), TRIED):
        event = event_of(one)
        if one.replay_id is not None or not any(table.match(event)):
            continue
        value, place = chart_sums.value_of(event, row.value_path), _place(period, one.received_at, now)
        if value is None or place is None:
            left_out += value is None
            continue
        group = chart_sums.group_of(event, row.group_path, known)
        if not group.rest and group.name not in known:
            known.append(group.name)
        sums.setdefault((place, group), Sum()).take(value, one.received_at)
    return sums, left_out


def _tried_answer(row: Row) -> Answer:
    if row.source == _Source.URL:
        return ask(question_of(row), wiring.config().allow_private)
    latest = completed_last(row.service_id).values_list("pk", flat=True).first()
    if latest is None:
        return Answer(None, f"{row.service} has not completed an execution yet: run it once")
    return artifact_read(latest, row.artifact)
