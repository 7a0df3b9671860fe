"""The catalog of event types: entered on sight."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import F

from ferris_web.catalog.models import EventType


def event_types_seen(counts: Mapping[str, int], examples: Mapping[str, object], now: datetime) -> None:
    """Count events by type; a type seen for the first time is entered, with its data as the example."""
    for name, count in counts.items():
        known = EventType.objects.filter(name=name)
        if known.update(count=F("count") + count, last_seen_at=now):
            known.filter(first_seen_at=None).update(first_seen_at=now, example=examples.get(name))
        else:
            EventType.objects.create(
                name=name, count=count, first_seen_at=now, last_seen_at=now, example=examples.get(name)
            )
