"""Counts of a list that were kept: what a histogram need not count row by row.

Executions that have ended are in the roll-ups; events and flows of hours that are over are in the tallies. What neither
holds is counted as it is asked for, in the same statement: what changes sides meanwhile is counted once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Exists, F, OuterRef, QuerySet, Sum

from ferris_web.executions.buckets import HOUR, Span, counted, hour_of
from ferris_web.executions.listings.fields import TIMES, Asked, Listing, Rows
from ferris_web.executions.listings.hours import ROLLED, rolled, uncounted, whole_since
from ferris_web.executions.models import OPEN, Execution, Rollup, Tally
from ferris_web.executions.services.tallies import LISTS, tallied
from ferris_web.executions.visibility import Projects

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Kept:
    """Sums of whole hours within `since` and `until`. `uncounted`: rows that they do not hold yet."""

    sums: QuerySet[Any]
    since: datetime
    until: datetime
    key: str
    days: QuerySet[Any] | None = None
    uncounted: tuple[Rows, ...] = ()

    def parts(self, time: str, span: timedelta) -> Iterator[QuerySet[Any]]:
        """Queries whose rows are the number of a span, an outcome, and how many: together all between the two times."""
        since, until = self.since, self.until
        days = (_up(since, _DAY), _down(until, _DAY))
        if self.days is not None and span % _DAY == timedelta(0) and days[0] < days[1]:
            yield self._summed(self.days, *days, span)
            yield self._summed(self.sums, since, days[0], span)
            yield self._summed(self.sums, days[1], until, span)
        else:
            yield self._summed(self.sums, since, until, span)
        for rows in self.uncounted:
            yield counted(rows, time, since, until, span, self.key)

    def _summed(
        self, sums: QuerySet[Any], since: datetime, until: datetime, span: timedelta
    ) -> QuerySet[Any]:
        rows = sums.filter(start__gte=since, start__lt=until).order_by()
        numbered = rows.annotate(
            span_number=Span(F("start"), seconds=int(span.total_seconds())), span_key=F(self.key)
        )
        return numbered.values_list("span_number", "span_key").annotate(n=Sum("count"))


def kept(
    listing: Listing, asked: Asked, found: Rows, projects: Projects | None, since: datetime, until: datetime,
    now: datetime,
) -> Kept | None:  # fmt: skip
    """The sums that hold what is asked for, in the hours of this time; None: there are none, or of too little.

    `found`: the rows that fit, whenever they were made. `projects`: of which these may be; None: of all.
    """
    filters = set(asked.values) - TIMES
    since, until = max(_up(since, HOUR), whole_since(now)), hour_of(until)
    if listing.name in LISTS and projects is None and filters <= {"matched"}:
        between = tallied(listing.name)
        since, until = (max(since, between[0]), min(until, between[1])) if between else (since, since)
        sums: QuerySet[Any] | None = _tallies(listing.name, asked)
        made = None if sums is None else Kept(sums, since, until, "outcome")
    elif listing.model is Execution and filters <= ROLLED:
        made = _rolled(asked.values, found, projects, since, until)
    else:
        return None
    return made if made is not None and until - since >= 2 * HOUR else None


def _tallies(name: str, asked: Asked) -> QuerySet[Any]:
    rows = Tally.objects.filter(listing=name)
    wanted = asked.values.get("matched")
    return rows if wanted is None else rows.filter(outcome="nothing" if wanted == "none" else "something")


def _rolled(
    asked: Mapping[str, Any], found: Rows, projects: Projects | None, since: datetime, until: datetime
) -> Kept | None:
    rows = rolled(asked, projects)
    if rows is None:
        return None
    # Few, and only they are asked whether they fit: SQLite would walk along an index of what is asked for, or of the
    # time, rather than look into the small one of what is not counted.
    fits = Exists(found.filter(pk=OuterRef("pk")).order_by())
    open_now = Execution.objects.filter(fits, status__in=OPEN)
    ended = Execution.objects.filter(fits, pk__in=uncounted().order_by().values("pk"))
    hours, days = (rows.filter(span=span) for span in (Rollup.Span.HOUR, Rollup.Span.DAY))
    return Kept(hours, since, until, "status", days, (open_now, ended))


def _up(moment: datetime, to: timedelta) -> datetime:
    start = _down(moment, to)
    return start if start == moment else start + to


def _down(moment: datetime, to: timedelta) -> datetime:
    start = hour_of(moment)
    return start.replace(hour=0) if to == _DAY else start
