"""The charts of a dashboard, each value a link to the rows behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import dateformat
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ferris.charts import Chart, Series
from ferris_web.console.plots import Plot, plot, written
from ferris_web.console.words import word
from ferris_web.executions.buckets import Bucket
from ferris_web.executions.figures import Figures, Period, Span
from ferris_web.executions.metrics import Recorded
from ferris_web.executions.rankings import Rankings, ServiceFigures

_OUTCOMES: Final = ("completed", "failed", "in_progress", "queued", "pending", "cancelled", "skipped")
_SPANS: Final = {"hour": _("Hour"), "day": _("Day")}
_COLOURS: Final = {"pending": "queued", "skipped": "cancelled"}
_TRIGGERS: Final = ("triggered", "scheduled", "manual", "retried")


def events_per_hour(rows: Sequence[Bucket]) -> Plot:
    """Events of one type."""
    labels = [f"{one.start:%H:%M}" for one in rows]
    events = [Series(gettext("events"), [one.total for one in rows], "in_progress")]
    return plot(
        Chart("bar", gettext("Events per hour"), labels, events, first_column=gettext("Hour, UTC")), "hours"
    )


class Links:
    """Addresses of lists of executions, of one project or of all. A page has some hundred, for the same spans and the
    same values: each of these is encoded once."""

    def __init__(self, project: str = "") -> None:
        self._also = {"project": project} if project else {}
        self._list = reverse("console:executions")
        self._times: dict[tuple[datetime, datetime | None], str] = {}
        self._filters: dict[tuple[tuple[str, str], ...], str] = {}

    def __call__(self, since: datetime, until: datetime | None = None, **filters: str) -> str:
        """Those made in this time that fit."""
        if (time := self._times.get((since, until))) is None:
            ends = {"from": _z(since), **({"until": _z(until)} if until else {})}
            time = self._times[since, until] = f"{self._list}?{urlencode(ends)}"
        asked = tuple(filters.items())
        if (rest := self._filters.get(asked)) is None:
            encoded = urlencode(filters | self._also)
            rest = self._filters[asked] = f"&{encoded}" if encoded else ""
        return time + rest


def _z(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _label(span: Span, period: Period) -> str:
    return f"{span.start:%H:%M}" if period.span == "hour" else dateformat.format(span.start, gettext("d M"))


def plots(found: Figures, links: Links, *, tables: bool) -> list[Plot]:
    """Outcomes, trigger types and times, over the period. `tables`: they are shown as tables, too, whose values are
    links."""
    per = found.period.span
    labels = [_label(span, found.period) for span in found.spans]
    whole = [links(span.start, span.end) for span in found.spans]
    outcomes = [
        Series(word(name), [span.statuses[name] for span in found.spans], _COLOURS.get(name, name))
        for name in _OUTCOMES
        if found.statuses[name]
    ]
    triggers = [
        Series(word(name), [span.triggers[name] for span in found.spans])
        for name in _TRIGGERS
        if found.triggers[name]
    ]
    times = [
        Series(gettext("took, average"), [span.took.average for span in found.spans]),
        Series(gettext("took, 19 of 20 at most"), [span.took.p95 for span in found.spans]),
        Series(gettext("waited, average"), [span.waited.average for span in found.spans]),
    ]
    column = gettext("{span}, UTC").format(span=_SPANS[per])
    return [
        plot(
            Chart(
                "bar",
                gettext("Outcomes per {span}").format(span=word(per)),
                labels,
                outcomes,
                first_column=column,
            ),
            "outcomes",
            whole,
            series_links=[
                [links(span.start, span.end, status=name) for span in found.spans]
                for name in _OUTCOMES
                if tables and found.statuses[name]
            ],
        ),
        plot(
            Chart(
                "bar",
                gettext("Trigger types per {span}").format(span=word(per)),
                labels,
                triggers,
                first_column=column,
            ),
            "triggers",
            whole,
            series_links=[
                [links(span.start, span.end, trigger=name) for span in found.spans]
                for name in _TRIGGERS
                if tables and found.triggers[name]
            ],
        ),
        plot(
            Chart(
                "line",
                gettext("Times per {span}").format(span=word(per)),
                labels,
                times,
                unit="ms",
                first_column=column,
            ),
            "times",
            whole,
        ),
    ]


def ranks(ranked: Rankings, found: Figures, links: Links) -> list[Plot]:
    """The services that ran most often, those that took longest, and those that failed most."""
    frequent, slow, failing = ranked.frequent, ranked.slowest, ranked.failing
    return [
        _services(
            gettext("Most frequent services"),
            "frequent",
            frequent,
            [
                Series(gettext("executions"), [one.count for one in frequent]),
                Series(gettext("failed"), [one.failed for one in frequent]),
            ],
            found,
            links,
        ),
        _services(
            gettext("Slowest services"),
            "slowest",
            slow,
            [
                Series(gettext("average"), [_time(one.average_ms) for one in slow]),
                Series(gettext("longest"), [_time(one.most_ms) for one in slow]),
                Series(gettext("executions"), [one.count for one in slow]),
            ],
            found,
            links,
        ),
        replace(
            _services(
                gettext("Most failing services"),
                "failing",
                failing,
                [
                    Series(gettext("failed"), [one.failed for one in failing]),
                    Series(gettext("share of those that ran"), [_share(one.failed_part) for one in failing]),
                    Series(gettext("executions"), [one.count for one in failing]),
                ],
                found,
                links,
            ),
            nothing=gettext("No service failed in this time."),
        ),
    ]


def _share(part: float | None) -> str:
    """As per cent, at least 0.1: who is listed here failed."""
    return "" if part is None else written(max(0.1, round(100 * part, 1)), "%")


def _time(amount: float | None) -> str:
    return written(amount, "ms")


def _services(
    title: str, key: str, rows: list[ServiceFigures], series: list[Series], found: Figures, links: Links
) -> Plot:
    made = Chart("table", title, [one.name for one in rows], series, first_column=gettext("Service"))
    failed = [links(found.since, service=one.name, status="failed") for one in rows]
    every = [links(found.since, service=one.name) for one in rows]
    per_series = [
        {gettext("failed"): failed, gettext("executions"): every}.get(one.name, []) for one in series
    ]
    services = [reverse("console:service", args=[one.name]) for one in rows]
    return plot(made, key, services, series_links=per_series)


def lanes(found: Figures, waiting: dict[str, int], running: dict[str, int], links: Links) -> Plot:
    """How long executions waited, by lane, and what waits there now."""
    names = list(found.lanes)
    spreads = list(found.lanes.values())
    series = [
        Series(gettext("started"), [one.count for one in spreads]),
        Series(gettext("waited, average"), [_time(one.average) for one in spreads]),
        Series(gettext("half within"), [_time(one.p50) for one in spreads]),
        Series(gettext("19 of 20 within"), [_time(one.p95) for one in spreads]),
        Series(gettext("longest"), [_time(one.most) if one.count else "" for one in spreads]),
        Series(gettext("queued now"), [waiting.get(name, 0) for name in names]),
        Series(gettext("running now"), [running.get(name, 0) for name in names]),
    ]
    started = [links(found.since, lane=name) for name in names]
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    queued = [links(begin, lane=name, status="queued") for name in names]
    runs = [links(begin, lane=name, status="in_progress") for name in names]
    per_series: list[list[str]] = [started, [], [], [], [], queued, runs]
    return plot(
        Chart("table", gettext("Queue wait by lane"), names, series, first_column=gettext("Lane")),
        "lanes",
        series_links=per_series,
    )


def metric(name: str, found: list[Recorded], aggregate: str, period: Period, now: datetime) -> Plot:
    """The values of one name that a service recorded."""
    since = period.since(now)
    starts = [since + period.length * n for n in range(period.count)]
    labels = [
        f"{one:%H:%M}" if period.span == "hour" else dateformat.format(one, gettext("d M")) for one in starts
    ]
    series = [Series(_labelled(one.series.labels) or word(aggregate), one.values(aggregate)) for one in found]
    unit = "" if aggregate == "count" else found[0].series.unit
    column = gettext("{span}, UTC").format(span=_SPANS[period.span])
    return plot(
        Chart("line", name, labels, series, unit, column, aggregate in ("sum", "count")),
        f"metric-{found[0].series.pk}",
    )


def _labelled(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {text}" for key, text in sorted(labels.items()))
