"""What the journal says of one event type: how often it comes, who sends it, whom it makes run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count

from ferris.event_maps import EventMap
from ferris_web.executions.buckets import Bucket, buckets
from ferris_web.executions.models import Event, Execution
from ferris_web.executions.services.runs import as_uuid
from ferris_web.executions.visibility import Projects, within

LAST: Final = 500
"""So many events are looked at to see who takes part."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Seen:
    """Who took part in the last events of a type: names and how many of the events each."""

    events: int = 0
    producers: dict[str, int] = field(default_factory=dict)  # services whose executions sent it
    sources: dict[str, int] = field(default_factory=dict)  # of events that came from outside
    consumers: dict[str, int] = field(default_factory=dict)


def event_type_seen(name: str, projects: Projects | None = None) -> Seen:
    """Producers and consumers of a type as its last events in these projects show them. Three queries."""
    found = within(Event.objects.filter(type=name), projects).order_by("-received_at", "-key")
    last = list(found.values_list("key", "source", "causation_id")[:LAST])
    parents = {pk for _, _, causation in last if (pk := as_uuid(causation))}
    senders = dict(
        within(Execution.objects.filter(pk__in=parents), projects).values_list("pk", "service__name")
    )
    producers, sources = Counter[str](), Counter[str]()
    for _, source, causation in last:
        sender = senders.get(as_uuid(causation))
        (sources if sender is None else producers)[source if sender is None else sender] += 1
    runs = within(Execution.objects.filter(event_id__in=[key for key, _, _ in last]), projects).order_by()
    consumers = Counter(dict(runs.values_list("service__name").annotate(n=Count("event_id", distinct=True))))
    return Seen(len(last), *(dict(counted.most_common(50)) for counted in (producers, sources, consumers)))


def event_type_hours(name: str, now: datetime, count: int = 24) -> list[Bucket]:
    """How many events of a type came in each of the last hours, oldest first, the current one included."""
    current = now.replace(minute=0, second=0, microsecond=0)
    rows = Event.objects.filter(type=name)
    return buckets(rows, "received_at", current - _HOUR * (count - 1), current + _HOUR, _HOUR)


def event_map_trials(by: EventMap, most: int = 10) -> list[dict[str, Any]]:
    """What a map would make of the last events of its source type: `event`, `before`, `after`."""
    rows = Event.objects.filter(type=by.source).order_by("-received_at", "-key").values_list("key", "data")
    return [{"event": str(key), "before": data, "after": by.data(data)} for key, data in rows[:most]]
