"""Event maps as rows: made, removed, and what routers need of them."""

from __future__ import annotations

from django.db import transaction

from ferris import event_maps
from ferris.errors import Conflict, NotFound
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import EventMap, Revision
from ferris_web.names import once


def event_map_get(pk: int) -> EventMap:
    """One map; NotFound."""
    row = EventMap.objects.filter(pk=pk).first()
    if row is None:
        raise NotFound(f"there is no event map {pk}")
    return row


def event_map_add(made: event_maps.EventMap, *, actor: str) -> EventMap:
    """Keep a map: it holds for the events that are routed from now on. Conflict for a second one between the same
    types, and for one that leads in a circle."""
    with once(f"there is a map from {made.source} to {made.target} already; remove it first"):
        Revision.objects.get_or_create(pk=1)
        Revision.objects.select_for_update().get(pk=1)  # two at once would not see each other's circle
        edges = EventMap.objects.values_list("source", "target")
        if path := event_maps.circle(edges, made.source, made.target):
            raise Conflict(
                f"the map would lead in a circle: {' → '.join(path)}; remove one of these maps first"
            )
        row = EventMap.objects.create(
            source=made.source,
            target=made.target,
            fields=dict(made.fields),
            strategy=made.strategy,
            constants=dict(made.constants),
            templates=dict(made.templates),
            created_by=actor,
        )
        revision_bump()
    return row


def event_map_remove(row: EventMap) -> None:
    """It makes no more events of those that are routed from now on."""
    with transaction.atomic():
        EventMap.objects.filter(pk=row.pk).delete()
        revision_bump()


def event_maps_by_source() -> dict[str, list[tuple[str, event_maps.EventMap]]]:
    """All maps by source type, each with the name that tells its events from those of others."""
    found: dict[str, list[tuple[str, event_maps.EventMap]]] = {}
    for row in EventMap.objects.order_by("source", "target"):
        made = event_maps.EventMap(
            row.source, row.target, row.fields, row.strategy, row.constants, row.templates
        )
        found.setdefault(row.source, []).append((row.target, made))
    return found
