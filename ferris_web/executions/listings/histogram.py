"""A list's rows over time, by outcome."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.cache import cache
from django.db.models import QuerySet, Value

from ferris_web.catalog.models import Project
from ferris_web.executions.buckets import Bucket, counted, empty, fill, span_for
from ferris_web.executions.listings.fields import TIMES, Asked, Listing, Rows
from ferris_web.executions.listings.kept import Kept, kept
from ferris_web.executions.models import STATUSES, Event, Execution
from ferris_web.executions.services.tallies import MATCHED
from ferris_web.executions.visibility import Projects, flows_few

MOST: Final = 60
COUNTED: Final = 30_000
"""Rows that are counted one by one at most, where an index has those that fit. `WALKED`: where each is looked at."""
WALKED: Final = 10_000
_STATUSES: Final = tuple(name for name, _ in STATUSES)
_DAY: Final = timedelta(days=1)
_INDEXED: Final = frozenset(
    ("correlation_id", "flow_id", "source", "subject", "reason", "service", "overdue", "root_type", "type")
)


@dataclass(frozen=True)
class Histogram:
    """The spans from the one with `since` to the one with `until`, oldest first. `cut`: it begins later than was asked
    for, since there is too much before to be counted."""

    since: datetime
    until: datetime
    span: timedelta
    buckets: list[Bucket]
    cut: bool = False

    @property
    def total(self) -> int:
        """Of all spans."""
        return sum(one.total for one in self.buckets)


def histogram(
    listing: Listing, asked: Asked, now: datetime, *, whose: Projects | None, most: int = MOST
) -> Histogram | None:
    """What fits over the time asked for, of these projects (None: of all); without one, over the last day in which
    anything fits. None: nothing does. Kept for some seconds."""
    if asked.errors or not listing.time:
        return None
    asked_for = repr((listing.name, whose and sorted(whose), most, sorted(asked.texts.items())))
    key = f"histogram:{hashlib.sha256(asked_for.encode()).hexdigest()}"
    made: tuple[Histogram | None] | None = cache.get(key)
    if made is None:
        found = listing.found(asked, whose, without=tuple(TIMES))
        made = (_histogram(listing, asked, found, now, most, whose),)
        cache.set(key, made, 3)
    return made[0]


def _histogram(
    listing: Listing, asked: Asked, found: Rows, now: datetime, most: int, whose: Projects | None
) -> Histogram | None:
    since, until = asked.values.get("since"), asked.values.get("until")
    if until is None:
        until = now
        if since is None:
            way = listing.way(whose, asked)
            rows = way.first(found, listing.order, 1) if way else found
            newest = rows.order_by(f"-{listing.time}").values_list(listing.time, flat=True).first()
            if newest is None:
                return None
            until = newest + timedelta(microseconds=1) if newest < now - _DAY / 2 else max(now, newest)
    since = since or until - _DAY
    sums = kept(listing, asked, found, whose, since, until, now)
    begin = since
    if sums is None:
        begin = max(since, _bound(listing, asked, found, since, until, whose))
    span = span_for(begin, until, most)
    if sums is not None and span % timedelta(hours=1):
        sums = None  # less than a day: there is little to count
    made = empty(begin, until, span)
    first, *others = _parts(listing, asked, found, begin, until, span, sums)
    # In one statement: what is counted meanwhile is not missed, or found twice.
    fill(made, first.union(*others, all=True) if others else first)
    return Histogram(begin, until, span, list(made.values()), cut=begin > since)


def _bound(
    listing: Listing, asked: Asked, found: Rows, since: datetime, until: datetime, whose: Projects | None
) -> datetime:
    """From when on there are so few rows that they can be counted."""
    filters, time = set(asked.values) - TIMES, listing.time
    by_flow = listing.model is not Execution
    narrowed = _narrowed(asked, whose) if by_flow else []
    few = any(map(flows_few, narrowed))
    walks = bool(narrowed) and not few
    walks |= not few and any(str(asked.values.get(name, "")).endswith("*") for name in ("type", "root_type"))
    rows, most = (listing.model._default_manager.all(), WALKED) if walks else (found, COUNTED)
    if not walks and not few and "matched" in filters and filters & _INDEXED:
        # Each row of that source or type is looked at for its outcome.
        rows, most = listing.found(asked, whose, without=(*TIMES, "matched")), WALKED
    if not walks and whose is None and not filters & _INDEXED and not by_flow:
        rows = listing.model._default_manager.all()
    between = rows.filter(**{f"{time}__gte": since, f"{time}__lt": until}).order_by(f"-{time}")
    last = between.values_list(time, flat=True)[most : most + 1].first()
    return since if last is None else last + timedelta(microseconds=1)


def _narrowed(asked: Asked, whose: Projects | None) -> list[Projects]:
    """What each row's flow has to run through: somebody's projects, the one that is asked for."""
    found = [] if whose is None else [whose]
    if (name := asked.values.get("project")) is not None:
        found.append(frozenset(Project.objects.filter(name=name).values_list("pk", flat=True)))
    return found


def _parts(
    listing: Listing, asked: Asked, found: Rows, since: datetime, until: datetime, span: timedelta,
    sums: Kept | None,
) -> list[QuerySet[Any]]:  # fmt: skip
    time = listing.time
    key: Any = Value("all")
    if listing.model is Execution:
        key = "status"
        if not set(asked.values) - TIMES:  # with all that it can be, an index on both answers alone
            found = found.filter(status__in=_STATUSES)
    elif listing.model is Event and (sums is not None or until - since <= 2 * _DAY):
        key = MATCHED
    if sums is None:
        return [counted(found, time, since, until, span, key)]
    edges = [(since, sums.since), (sums.until, until)]
    now = [counted(found, time, start, end, span, key) for start, end in edges if start < end]
    return [*sums.parts(time, span), *now]
