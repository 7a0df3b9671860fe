"""The catalog of event types: entered on sight."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import F

from ferris_web.catalog.models import EventType


def event_types_seen(counts: Mapping[str, int], examples: Mapping[str, object], now: datetime) -> None:
    """Count events by type; a type seen for the first time is entered, with its data as the example."""
    for name in sorted(
        counts
    ):  # in one order, so that several gateways don't wait for each other in a circle
        known = EventType.objects.filter(name=name)
        seen = {"count": F("count") + counts[name], "last_seen_at": now}
        if known.filter(first_seen_at__isnull=False).update(**seen):
            continue
        EventType.objects.bulk_create([EventType(name=name, count=0)], ignore_conflicts=True)
        known.update(**seen)
        known.filter(first_seen_at=None).update(first_seen_at=now, example=examples.get(name))
