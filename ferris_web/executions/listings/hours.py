"""Pages of executions by several filters at once, read in the hours in which something fits.

What is asked for together may be frequent each and meet rarely, lately not, or never, and no index has all of it. The
roll-ups say in which hours something that fits was made; what they do not hold yet is little, and looked at by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from ferris_web import wiring
from ferris_web.catalog.models import Project, Service
from ferris_web.executions.buckets import HOUR, hour_of
from ferris_web.executions.listings.fields import TIMES, Rows
from ferris_web.executions.models import OPEN, ROLLUPS_KEPT, Execution, Rollup
from ferris_web.executions.visibility import Projects
from ferris_web.keyset import Way
from ferris_web.planning import first_said, looked_at

ROLLED: Final = frozenset(("status", "trigger_type", "lane", "project", "service"))
"""The filters of executions by which roll-ups are told apart."""
_MOST_PROJECTS: Final = 50
_AT_ONCE: Final = 60
"""Hours that are looked into at once."""
_FRESH: Final = 5000
"""Executions that the roll-ups do not hold yet, of which each is looked at. With more of them rows are read as ever."""
_LITTLE: Final = 5000
"""Executions of a service that are read along its index, whatever else is asked for."""
Span = tuple[datetime, datetime]
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Hours:
    """Executions in the order of their time, found hour by hour: a way to read them, see `keyset.Way`.

    `sums`: of the hours in which something fits. `since`: before that some hours have none any more.
    """

    sums: QuerySet[Any]
    since: datetime
    otherwise: Way | None = None

    def first(self, rows: Rows, order: Sequence[str], most: int, place: Sequence[Any] | None = None) -> Rows:
        """As `keyset.Way` says. Those that nothing has counted come first: what is counted meanwhile was seen."""
        plain = rows.select_related(None)
        fresh = self._fresh(plain, order, most)
        if fresh is None:
            return self.otherwise.first(rows, order, most, place) if self.otherwise else rows
        found: set[UUID] = set()
        for spans in self._spans(order, most, place[0] if place else None):
            found.update(_within(plain, spans, order, most))
            if len(found) >= most:
                break
        return looked_at(rows).filter(pk__in=found.union(fresh))

    def _fresh(self, rows: Rows, order: Sequence[str], most: int) -> list[UUID] | None:
        """The first of those that are in no roll-up yet; None: there are too many to look at."""
        kinds = (Execution.objects.filter(status__in=OPEN), uncounted())
        if any(kind.order_by().values("pk")[_FRESH : _FRESH + 1].exists() for kind in kinds):
            return None
        fits = Exists(rows.filter(pk=OuterRef("pk")).order_by())
        parts = [
            Execution.objects.filter(fits, pk__in=kind.order_by().values("pk"))
            .order_by(*order)
            .values("pk")[:most]
            for kind in kinds
        ]
        plain = Execution.objects.order_by().values_list("pk", flat=True)
        return list(plain.filter(pk__in=parts[0]).union(plain.filter(pk__in=parts[1])))

    def _spans(self, order: Sequence[str], most: int, place: datetime | None) -> Iterator[list[Span]]:
        """The spans in which something fits, from a place on, some at a time: hours that lie side by side are one."""
        down = order[0].startswith("-")
        before: list[Span] = [(_EVER, self.since)]
        if not down:
            yield before
        while True:
            hours = self.sums.filter(start__gte=self.since)
            if place is not None:
                hours = hours.filter(start__lte=place) if down else hours.filter(start__gte=hour_of(place))
            sums = hours.values_list("start").annotate(n=Sum("count")).order_by("-start" if down else "start")
            starts: list[datetime] = []
            amount = 0
            for start, count in sums[:_AT_ONCE]:
                starts.append(start)
                amount += count
                if amount >= most:
                    break
            else:
                if len(starts) < _AT_ONCE:  # there are no more
                    yield _joined(sorted(starts)) + (before if down else [])
                    return
            yield _joined(sorted(starts))
            place = starts[-1] - HOUR if down else starts[-1] + HOUR


def hours(asked: Mapping[str, Any], projects: Projects | None, otherwise: Way | None) -> Hours | None:
    """How executions of these projects (None: of all) are read; None: what is asked for has no roll-ups, or an index.
    `otherwise`: where the roll-ups are far behind."""
    filters = asked.keys() - TIMES
    if not filters <= ROLLED or len(filters) + (projects is not None) < 2:
        return None
    if projects is not None and not 0 < len(projects) <= _MOST_PROJECTS:
        return None
    sums = rolled(asked, projects)
    if sums is None or ("service" in asked and _little(asked["service"])):
        return None
    sums = sums.filter(span=Rollup.Span.HOUR)
    if (since := asked.get("since")) is not None:
        sums = sums.filter(start__gte=hour_of(since))
    if (until := asked.get("until")) is not None:
        sums = sums.filter(start__lt=until)
    now = timezone.now()
    kept = hour_of(now - ROLLUPS_KEPT[Rollup.Span.HOUR] + timedelta(days=1))
    return Hours(sums, max(whole_since(now), kept), otherwise)


def whole_since(now: datetime) -> datetime:
    """From when on every row is there: what is older is being removed."""
    return hour_of(now - timedelta(days=wiring.config().journal_days)) + HOUR


def rolled(asked: Mapping[str, Any], projects: Projects | None) -> QuerySet[Rollup] | None:
    """The roll-ups, by hour and by day, of executions of these projects (None: of all) that fit what is asked for by
    `ROLLED`; None: none of them can fit."""
    rows = Rollup.objects.all()
    if (name := asked.get("project")) is not None:
        named = Project.objects.filter(name=name).values_list("pk", flat=True).first()
        projects = (
            frozenset((named,))
            if named is not None and (projects is None or named in projects)
            else frozenset()
        )
    if (name := asked.get("service")) is not None:
        service = Service.objects.filter(name=name).values_list("pk", "project_id").first()
        if service is None or (projects is not None and service[1] not in projects):
            return None
        rows = rows.filter(service=service[0])
    elif projects is not None:
        rows = rows.filter(service=None, project__in=projects)
    else:
        rows = rows.filter(service=None, project=None)
    if (statuses := asked.get("status")) is not None:
        plain = {status for value in statuses for status in (OPEN if value == "open" else (value,))}
        rows = rows.filter(status__in=plain)
    if (triggers := asked.get("trigger_type")) is not None:
        rows = rows.filter(trigger_type__in=triggers)
    if (lane := asked.get("lane")) is not None:
        rows = rows.filter(lane=lane)
    return rows


def uncounted() -> Rows:
    """Executions that have ended and are not in the roll-ups yet."""
    return Execution.objects.filter(counted=None, finished_at__isnull=False).exclude(status__in=OPEN)


def _little(service: str) -> bool:
    """Whether that service ran so little that all of it may be looked at."""
    its = Execution.objects.filter(service__in=Service.objects.filter(name=service)).order_by()
    return not its.values("pk")[_LITTLE : _LITTLE + 1].exists()


def _joined(starts: Sequence[datetime]) -> list[Span]:
    """These hours, those side by side as one."""
    found: list[Span] = []
    for start in starts:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], start + HOUR)
        else:
            found.append((start, start + HOUR))
    return found


def _within(rows: Rows, spans: Sequence[Span], order: Sequence[str], most: int) -> list[UUID]:
    """The first of these rows in each of the spans, in one query. Its text is that of one span, repeated: for each one
    that Django writes it takes as long as the database for all of them."""
    if not spans:
        return []
    start, end = spans[0]
    # Said before other bounds, or SQLite would walk from those; so these are the first two values, too.
    part = first_said(rows, Q(created_at__gte=start, created_at__lt=end)).order_by(*order).values("pk")[:most]
    connection = connections[rows.db]
    try:
        text, (_start, _end, *others) = part.query.get_compiler(rows.db).as_sql()
    except EmptyResultSet:
        return []
    values: list[Any] = []
    for span in spans:
        values += [*map(connection.ops.adapt_datetimefield_value, span), *others]
    with connection.cursor() as cursor:
        one = f"SELECT * FROM ({text}) AS span"  # noqa: S608 - Django's own text; values stand beside it
        cursor.execute(" UNION ALL ".join([one] * len(spans)), values)
        return [UUID(str(pk)) for (pk,) in cursor.fetchall()]
