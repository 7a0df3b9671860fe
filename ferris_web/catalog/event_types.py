"""The catalog of event types: entered on sight."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import connection
from django.db.models import F

from ferris_web.catalog.models import EventType

# As Django would write it; for every batch of events, and to write it anew costs more than the database does.
_SEEN = (
    'UPDATE catalog_eventtype SET "count" = "count" + %s, last_seen_at = %s '
    "WHERE name = %s AND first_seen_at IS NOT NULL"
)


def event_types_seen(counts: Mapping[str, int], examples: Mapping[str, object], now: datetime) -> None:
    """Count events by type; a type seen for the first time is entered, with its data as the example."""
    for name in sorted(
        counts
    ):  # in one order, so that several gateways don't wait for each other in a circle
        if _seen(name, counts[name], now):
            continue
        known = EventType.objects.filter(name=name)
        seen = {"count": F("count") + counts[name], "last_seen_at": now}
        EventType.objects.bulk_create([EventType(name=name, count=0)], ignore_conflicts=True)
        known.update(**seen)
        known.filter(first_seen_at=None).update(first_seen_at=now, example=examples.get(name))


def _seen(name: str, count: int, now: datetime) -> bool:
    """Count events of a type that was seen before; False when it was not."""
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, (count, connection.ops.adapt_datetimefield_value(now), name))
        return bool(cursor.rowcount)
