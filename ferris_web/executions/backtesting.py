"""Backtests over the journal: newest events first, in chunks, for as long or as far as the caller allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from ferris.backtest import Backtest, Past, Side
from ferris.routing import ANY
from ferris_web.executions.journal import event_of, journal_chunks
from ferris_web.executions.models import Event
from ferris_web.executions.visibility import Projects
from ferris_web.keyset import behind

Place = tuple[datetime, UUID]
"""When an event was taken in, and its key: the order in which they are looked at."""
_TYPES_AT_MOST = 200  # named in a query; with more, every event is looked at


@dataclass(frozen=True)
class Tested:
    """What came of it. `reached`: the oldest moment looked at. `following`: the place to go on behind; None when that
    was all of the window."""

    backtest: Backtest
    since: datetime
    until: datetime
    reached: datetime
    following: Place | None
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether the whole window was looked at."""
        return self.following is None

    def to_json(self) -> dict[str, Any]:
        """As the API and `--json` give it, times as datetimes."""
        test = self.backtest
        return {
            "since": self.since,
            "until": self.until,
            "reached": self.reached,
            "complete": self.complete,
            "events": test.events,
            "seconds": round(self.seconds, 3),
            "gained": test.gained,
            "lost": test.lost,
            "services": [vars(tally) for tally in test.tallies.values()],
        }


def backtest_run(
    sides: tuple[dict[str, Side], dict[str, Side]],
    *,
    since: datetime,
    until: datetime,
    samples: int = 5,
    projects: Projects | None = None,
    after: Place | None = None,
    past: Past | None = None,
    most_events: int | None = None,
    most_seconds: float | None = None,
    progress: Callable[[int, datetime], None] | None = None,
) -> Tested:
    """Feed the journal's events of that time, as these projects see them, to both sides, the newest first.

    It ends before the whole window was read when `most_events` or `most_seconds` are reached; called again with the
    place to go on behind as `after`, it looks at the rest, and counts on from `past`. `progress` is told, after each
    chunk, how many events were read and back to when. Memory does not grow with the journal.
    """
    test = Backtest(*sides, samples=samples, past=past)
    known = test.events
    begun = time.monotonic()
    reached, following = until if after is None else after[0], None
    chunks = journal_chunks(
        since, until, types=types_named(test.types()), newest_first=True, after=after, projects=projects
    )
    for chunk in chunks:
        for row in chunk:
            test.feed(event_of(row))
        reached = chunk[-1].received_at
        if progress is not None:
            progress(test.events, reached)
        late = most_seconds is not None and time.monotonic() - begun > most_seconds
        if late or (most_events is not None and test.events - known >= most_events):
            place = (reached, chunk[-1].key)
            following = place if _older(since, place) else None
            break
    seconds = time.monotonic() - begun
    return Tested(test, since, until, since if following is None else reached, following, seconds)


def _older(since: datetime, place: Place) -> bool:
    """Whether there are events, of whatever type, behind a place."""
    return Event.objects.filter(behind(("-received_at", "-key"), place), received_at__gte=since).exists()


def types_named(patterns: Iterable[str]) -> Q | None:
    """The events that these types or patterns may name, as a condition for `journal_chunks`; None: any."""
    wanted = set(patterns)
    if ANY in wanted or len(wanted) > _TYPES_AT_MOST:
        return None
    exact = [name for name in wanted if not name.endswith(".*")]
    if len(wanted) == len(exact) == 1:
        return Q(type=exact[0])  # has an index that is in the order of the walk
    found = Q(kind__in=exact)
    for pattern in wanted - set(exact):
        found |= Q(kind__startswith=pattern[:-1])
    return found
