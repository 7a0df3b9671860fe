"""What a dashboard tells of a time, read from roll-ups: outcomes, trigger types, durations, waits.

Only executions that have not ended yet are counted as they are asked for; everything else was added up before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson
from django.db.models import Aggregate, Max, Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from ferris import sketches
from ferris.lanes import LANES
from ferris_web.catalog.models import Project
from ferris_web.executions.buckets import buckets
from ferris_web.executions.models import OPEN, STATUSES, TRIGGER_TYPES, Execution, Rollup
from ferris_web.executions.visibility import Projects, among

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_ENDED: Final = tuple(name for name, _word in STATUSES if name not in OPEN)
_TRIGGERS: Final = tuple(name for name, _word in TRIGGER_TYPES)


@dataclass(frozen=True)
class Period:
    """A time that a dashboard is about, in equal spans up to the current one."""

    name: str
    label: str
    count: int
    span: str

    @property
    def length(self) -> timedelta:
        """Of one span."""
        return _HOUR if self.span == Rollup.Span.HOUR else _DAY

    def since(self, now: datetime) -> datetime:
        """The begin of its first span, in UTC."""
        start = now.replace(minute=0, second=0, microsecond=0)
        if self.span == Rollup.Span.DAY:
            start = start.replace(hour=0)
        return start - self.length * (self.count - 1)


PERIODS: Final[Mapping[str, Period]] = {
    one.name: one
    for one in (
        Period("24h", _("24 hours"), 24, Rollup.Span.HOUR.value),
        Period("7d", _("7 days"), 7, Rollup.Span.DAY.value),
        Period("30d", _("30 days"), 30, Rollup.Span.DAY.value),
        Period("90d", _("90 days"), 90, Rollup.Span.DAY.value),
    )
}
"""By their names in addresses; the first one holds when none is asked for."""
FIRST: Final = "24h"


@dataclass
class Spread:
    """How long something took: how often, all together, the longest, and percentiles. In milliseconds."""

    count: int = 0
    total: int = 0
    most: int = 0
    sketch: dict[str, int] = field(default_factory=dict)

    def add(self, other: Spread) -> None:
        """Add what another one has."""
        self.count += other.count
        self.total += other.total
        self.most = max(self.most, other.most)
        sketches.merge(self.sketch, other.sketch)

    @property
    def average(self) -> float | None:
        """None without any."""
        return self.total / self.count if self.count else None

    @property
    def p50(self) -> float | None:
        """Half of them took no longer."""
        return self._part(0.5)

    @property
    def p95(self) -> float | None:
        """19 of 20 took no longer."""
        return self._part(0.95)

    def _part(self, part: float) -> float | None:
        found = sketches.quantile(self.sketch, part)
        return None if found is None else min(found, float(self.most))


@dataclass
class Span:
    """One hour or day: executions that were made in it."""

    start: datetime
    end: datetime
    statuses: Counter[str] = field(default_factory=Counter)
    triggers: Counter[str] = field(default_factory=Counter)
    took: Spread = field(default_factory=Spread)
    waited: Spread = field(default_factory=Spread)


@dataclass
class Figures:
    """All spans of a period, oldest first, and what they come to."""

    period: Period
    since: datetime
    until: datetime
    spans: list[Span]
    statuses: Counter[str]
    triggers: Counter[str]
    lanes: dict[str, Spread]  # queue wait
    took: Spread
    waited: Spread

    @property
    def ended(self) -> int:
        """How many have ended."""
        return sum(count for status, count in self.statuses.items() if status not in OPEN)

    @property
    def failed_part(self) -> float | None:
        """The part of those that ran to an end which failed; None when none did."""
        ran = self.statuses["completed"] + self.statuses["failed"]
        return self.statuses["failed"] / ran if ran else None


def figures(
    period: Period,
    now: datetime,
    *,
    projects: Projects | None = None,
    project: Project | None = None,
) -> Figures:
    """The figures of one project, of these projects, or (None) of all. Two queries."""
    since = period.since(now)
    until = since + period.length * period.count
    spans = [Span(since + period.length * n, since + period.length * (n + 1)) for n in range(period.count)]
    found = Figures(
        period,
        since,
        until,
        spans,
        Counter(),
        Counter(),
        {lane: Spread() for lane in LANES},
        Spread(),
        Spread(),
    )
    for start, lane, statuses, triggers, took, waited in _summed(_of(period, since, projects, project)):
        place = round((start - since) / period.length)
        if not 0 <= place < len(spans):
            continue
        span = spans[place]
        span.statuses.update(statuses)
        span.triggers.update(triggers)
        span.took.add(took)
        for part in (span.waited, found.lanes.setdefault(lane, Spread())):
            part.add(waited)
    for span in spans:
        found.statuses.update(span.statuses)
        found.triggers.update(span.triggers)
        found.took.add(span.took)
        found.waited.add(span.waited)
    _open(found, projects, project)
    return found


class _Texts(Aggregate):
    """JSON texts, written one behind the other with commas between."""

    function = "GROUP_CONCAT"
    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "STRING_AGG(%(expressions)s,',')"
        return super().as_sql(compiler, connection, template=template, **extra)


_SUMS: Final[Mapping[str, Any]] = {
    **{f"of_{one}": Sum("count", filter=Q(status=one), default=0) for one in _ENDED},
    **{f"by_{one}": Sum("count", filter=Q(trigger_type=one), default=0) for one in _TRIGGERS},
    "begun": Sum("started"),
    **{f"all_{name}": Sum(f"{name}_ms") for name in ("took", "waited")},
    **{f"most_{name}": Max(f"{name}_most_ms") for name in ("took", "waited")},
    **{f"each_{name}": _Texts(Cast(name, TextField())) for name in ("durations", "waits")},
}
_Sums = tuple[datetime, str, Counter[str], Counter[str], Spread, Spread]


def _summed(rows: QuerySet[Rollup]) -> Iterator[_Sums]:
    """For each span and lane its outcomes, trigger types, durations and waits. The database adds up what outcomes and
    trigger types come to, of which there are ten times as many rows; it leaves their sketches to be merged."""
    found = rows.values("start", "lane").annotate(**_SUMS).values_list("start", "lane", *_SUMS)
    for start, lane, *row in found:
        statuses, row = _counted(_ENDED, row)
        triggers, row = _counted(_TRIGGERS, row)
        begun, took, waited, longest, most, durations, waits = row
        yield (
            *(start, lane, statuses, triggers),
            Spread(begun, took, longest, dict(_merged(durations))),
            Spread(begun, waited, most, dict(_merged(waits))),
        )


def _counted(names: Sequence[str], row: list[Any]) -> tuple[Counter[str], list[Any]]:
    """How many have which name, and what stands behind them in the row."""
    counts = Counter({name: count for name, count in zip(names, row, strict=False) if count})
    return counts, row[len(names) :]


@lru_cache(maxsize=2000)
def _merged(texts: str) -> Mapping[str, int]:
    """What these sketches come to. Kept by their text, some 2 kB: of a day that is over it is the same each time."""
    found: dict[str, int] = {}
    for one in orjson.loads(f"[{texts}]"):
        sketches.merge(found, one)
    return found


def _of(
    period: Period,
    since: datetime,
    projects: Projects | None,
    project: Project | None,
) -> QuerySet[Rollup]:
    rows = Rollup.objects.filter(span=period.span, start__gte=since, service=None).order_by()
    if project is not None:
        return rows.filter(project=project)
    return rows.filter(project=None) if projects is None else rows.filter(project__in=projects)


def _open(found: Figures, projects: Projects | None, project: Project | None) -> None:
    """Those that have not ended, as they are at this moment."""
    rows = among(Execution.objects.filter(status__in=OPEN), projects)
    if project is not None:
        rows = among(rows, frozenset((project.pk,)))
    counted = buckets(rows, "created_at", found.since, found.until, found.period.length, "status", OPEN)
    for span, bucket in zip(found.spans, counted, strict=True):
        span.statuses.update(bucket.counts)
        found.statuses.update(bucket.counts)
