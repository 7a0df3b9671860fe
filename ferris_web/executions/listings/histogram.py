"""A list's rows over time, by outcome."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Case, Value, When

from ferris_web.executions.buckets import Bucket, Key, buckets, span_for
from ferris_web.executions.listings.fields import Asked, Listing, Rows
from ferris_web.executions.models import STATUSES, Event, Execution

MOST = 60
_STATUSES = tuple(name for name, _ in STATUSES)
_DAY = timedelta(days=1)
_TIMES = frozenset(("since", "until"))


@dataclass(frozen=True)
class Histogram:
    """The spans from the one with `since` to the one with `until`, oldest first."""

    since: datetime
    until: datetime
    span: timedelta
    buckets: list[Bucket]

    @property
    def total(self) -> int:
        """Of all spans."""
        return sum(one.total for one in self.buckets)


def histogram(
    listing: Listing, asked: Asked, rows: Rows, now: datetime, *, whose: object, most: int = MOST
) -> Histogram | None:
    """What fits over the time asked for; without one, over the last day in which anything fits. None: nothing does.

    `rows`: those that `whose` may see. Kept for some seconds, for a minute when it is about more than a day.
    """
    if asked.errors or not listing.time:
        return None
    asked_for = repr((listing.name, str(whose), most, sorted(asked.texts.items())))
    key = f"histogram:{hashlib.sha256(asked_for.encode()).hexdigest()}"
    kept = cache.get(key)
    if kept is None:
        found = listing.found(asked, rows, without=tuple(_TIMES))
        kept = (_histogram(listing, asked, found, now, most),)
        long = kept[0] is not None and kept[0].until - kept[0].since > 2 * _DAY
        cache.set(key, kept, 60 if long else 3)
    return kept[0]  # type: ignore[no-any-return]


def _histogram(listing: Listing, asked: Asked, found: Rows, now: datetime, most: int) -> Histogram | None:
    since, until = asked.values.get("since"), asked.values.get("until")
    if until is None:
        until = now
        if since is None:
            newest = found.order_by(f"-{listing.time}").values_list(listing.time, flat=True).first()
            if newest is None:
                return None
            until = newest + timedelta(microseconds=1) if newest < now - _DAY / 2 else max(now, newest)
    since = since or until - _DAY
    span = span_for(since, until, most)
    by, values = _outcome(listing, asked, until - since)
    return Histogram(since, until, span, buckets(found, listing.time, since, until, span, by, values))


def _outcome(listing: Listing, asked: Asked, length: timedelta) -> tuple[Key, tuple[str, ...]]:
    if listing.model is Execution:
        return "status", () if set(asked.values) - _TIMES else _STATUSES
    if listing.model is Event and length <= 2 * _DAY:
        return Case(When(matched=0, then=Value("nothing")), default=Value("something")), ()
    return None, ()
