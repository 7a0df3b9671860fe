"""Hours that are over are counted once, for the histograms above the lists of events and flows.

Both have the time at which the router wrote them, and are not changed or removed before the journal's end. So an hour
that has been over for a while is complete, and its count stays right.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Case, Count, Min, Value, When

from ferris_web.executions.buckets import HOUR, hour_of
from ferris_web.executions.models import Event, Flow, Tally

SETTLED: Final = timedelta(minutes=10)
"""So long after its end an hour is counted: what was on its way has arrived, also where clocks differ."""
AT_ONCE: Final = 6
"""Hours that are counted in one transaction, from the first on in which something came."""
ALL, SOMETHING, NOTHING = "all", "something", "nothing"
MATCHED: Final = Case(When(matched=0, then=Value(NOTHING)), default=Value(SOMETHING))
LISTS: Final[dict[str, tuple[Any, str, Any]]] = {
    "events": (Event, "received_at", MATCHED),
    "flows": (Flow, "started_at", Value(ALL)),
}
"""Model, time and outcome of the lists that have tallies."""


def tallies_piece(now: datetime) -> int:
    """Count the next hours of each list that are over, the oldest first; how many. 0: there are none."""
    return sum(_piece(name, now) for name in LISTS)


def tallied(name: str) -> tuple[datetime, datetime] | None:
    """The begin of the first hour that was counted, and the end of the last: all between is counted, too."""
    rows = Tally.objects.filter(listing=name)
    first = rows.order_by("start").values_list("start", flat=True).first()
    last = rows.order_by("-start").values_list("start", flat=True).first()
    return None if first is None or last is None else (first, last + HOUR)


def tallies_prune(before: datetime) -> None:
    """Forget hours of which the journal holds nothing any more, or not all."""
    Tally.objects.filter(start__lt=before).delete()


def _piece(name: str, now: datetime) -> int:
    model, time, _ = LISTS[name]
    known, over = tallied(name), hour_of(now - SETTLED)
    if known is not None and known[1] >= over:
        return 0
    waiting = model.objects.filter(**{f"{time}__lt": over})
    if known is not None:
        waiting = waiting.filter(**{f"{time}__gte": known[1]})
    oldest = waiting.aggregate(at=Min(time))["at"]
    if oldest is None and known is None:
        return 0
    begin = over - HOUR if oldest is None else hour_of(oldest)
    end = min(begin + AT_ONCE * HOUR, over)
    made: list[Tally] = []
    with transaction.atomic():
        for hour in range((end - begin) // HOUR):
            made += _counted(name, begin + hour * HOUR)
        if not made or made[-1].start < end - HOUR:
            # An hour in which nothing came needs no row, but the last says how far all was counted.
            made.append(Tally(listing=name, start=end - HOUR, outcome=ALL, count=0))
        Tally.objects.bulk_create(made, ignore_conflicts=True)
    return (end - (begin if known is None else known[1])) // HOUR


def _counted(name: str, begin: datetime) -> list[Tally]:
    """Asked for by these two bounds alone: of two on one side SQLite takes the one that is said first."""
    model, time, outcome = LISTS[name]
    rows = model.objects.filter(**{f"{time}__gte": begin, f"{time}__lt": begin + HOUR}).order_by()
    found = rows.annotate(outcome_key=outcome).values_list("outcome_key").annotate(n=Count("pk"))
    return [Tally(listing=name, start=begin, outcome=key, count=amount) for key, amount in found]
