"""Versions of the schemas of event types: inferred, widened, and who reads what has changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid5

from django.db import transaction
from django.db.models import F

from ferris import events
from ferris.errors import Conflict
from ferris.event_schemas import LEARN, Change, Schema, changes, shown, touches, widened
from ferris.events import EVENT_IDS, Event
from ferris.filters import compile_filter
from ferris.json_values import texts_in
from ferris.predicates import FilterError
from ferris_web.catalog import selectors
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import EventSchema, EventType, Service

CHANGED: Final = "ferris.event_type.changed"
SOURCE: Final = "ferris/event-types"
VERSIONS_KEPT: Final = 50
_TRIES = 20
_NAMED = 100  # services that are named in one event


@dataclass(frozen=True)
class Known:
    """What is known of a type's data."""

    number: int = 0
    learned: int = 0
    schema: Schema | None = None
    strict: bool = False

    @property
    def learning(self) -> bool:
        """True until the schema has seen enough samples: nothing breaks it before."""
        return self.learned < LEARN


def schemas_known(names: Collection[str]) -> dict[str, Known]:
    """What is known of these types, for those that are in the catalog."""
    rows = EventType.objects.filter(name__in=names).values_list(
        "name", "schema_number", "schema_learned", "strict"
    )
    current = EventSchema.objects.filter(
        event_type__name__in=names, number=F("event_type__schema_number")
    ).order_by()
    schemas = dict(current.values_list("event_type__name", "schema"))
    return {name: Known(number, learned, schemas.get(name), strict) for name, number, learned, strict in rows}


def schemas_widen(samples: Mapping[str, Sequence[Event]], now: datetime) -> dict[str, Known]:
    """Widen the schema of each type by these samples of it, in one transaction; what is known then.

    Several gateways may do so at once: each version is written by who moves the type's row from the state that it
    read to the next one; the others look again at what is known then.
    """
    with transaction.atomic():
        EventType.objects.bulk_create(
            (EventType(name=name) for name in sorted(samples)), ignore_conflicts=True
        )
        # In one order, so that several gateways don't wait for each other in a circle.
        return {name: _widen(name, samples[name], now) for name in sorted(samples)}


def _widen(name: str, samples: Sequence[Event], now: datetime) -> Known:
    for _ in range(_TRIES):
        known = schemas_known([name]).get(name, Known())
        if known.strict:
            return known
        before = known.schema or {}
        schema = widened(before, [event.data for event in samples])
        if known.learning:
            after = Known(max(1, known.number), min(LEARN, known.learned + len(samples)), schema)
        elif schema != before:
            after = Known(known.number + 1, known.learned, schema)
        else:
            return known
        if _moved(name, known, after):
            _write(name, known, after, samples, now)
            return after
    return Known()  # others were always faster: the next samples will do


def _moved(name: str, known: Known, after: Known) -> bool:
    """Compare and set: True for the one who takes the type from what was known to what comes after."""
    row = EventType.objects.filter(
        name=name, schema_number=known.number, schema_learned=known.learned, strict=False
    )
    return bool(row.update(schema_number=after.number, schema_learned=after.learned))


def _write(name: str, known: Known, after: Known, samples: Sequence[Event], now: datetime) -> None:
    pk = EventType.objects.values_list("pk", flat=True).get(name=name)
    if known.learning:
        first = {"schema": after.schema, "created_at": now}
        EventSchema.objects.update_or_create(event_type_id=pk, number=after.number, defaults=first)
        return
    found = changes(known.schema or {}, after.schema or {})
    breaking = [change for change in found if change.breaking]
    culprit = _culprit(known.schema or {}, samples)
    EventSchema.objects.create(
        event_type_id=pk,
        number=after.number,
        schema=after.schema,
        changes=[change.to_json() for change in found],
        breaking=bool(breaking),
        consumers=readers(name, breaking) if breaking else [],
        sample={"key": str(culprit.key), "id": culprit.id, "source": culprit.source},
        told=not breaking,
        created_at=now,
    )
    EventSchema.objects.filter(event_type_id=pk, number__lte=after.number - VERSIONS_KEPT, told=True).delete()


def _culprit(schema: Schema, samples: Sequence[Event]) -> Event:
    """The sample that breaks the schema; else one that adds to it."""
    adds = samples[0]
    for event in samples:
        found = changes(schema, widened(schema, [event.data]))
        if any(change.breaking for change in found):
            return event
        if found:
            adds = event
    return adds


# --- what people decide -------------------------------------------------------------------------------


def schema_enforce(row: EventType, strict: bool) -> None:
    """From now on events that don't fit the schema go to the dead letters, or do no more.

    While it is enforced, the schema stays as it is. Conflict when there is nothing yet that could be enforced.
    """
    with transaction.atomic():
        known = schemas_known([row.name]).get(row.name, Known())
        if strict and (known.learning or known.schema is None):
            raise Conflict(
                f"the schema of {row.name} is still being learned: {known.learned} of {LEARN} samples were seen; "
                "let more events come first"
            )
        found = EventType.objects.filter(pk=row.pk, strict=not strict, schema_number=known.number)
        if found.update(strict=strict):
            revision_bump()  # routers look at what is strict when the catalog changes
    row.refresh_from_db()


def schema_learn_anew(row: EventType, now: datetime) -> None:
    """Begin a version that is made of the samples to come alone. Conflict while the schema is enforced."""
    with transaction.atomic():
        number = row.schema_number + 1
        found = EventType.objects.filter(pk=row.pk, schema_number=row.schema_number, strict=False)
        if not found.update(schema_number=number, schema_learned=0):
            raise Conflict(
                f"the schema of {row.name} is enforced, or was changed just now; "
                "let it be strict no more, look again, and then let it be learned anew"
            )
        EventSchema.objects.create(event_type=row, number=number, created_at=now)
    row.refresh_from_db()


def schemas_enforced(names: Collection[str] | None = None) -> dict[str, Schema]:
    """The schemas of the types, or of these of them, that are strict."""
    current = EventSchema.objects.filter(
        event_type__strict=True, number=F("event_type__schema_number")
    ).order_by()
    if names is not None:
        current = current.filter(event_type__name__in=names)
    return dict(current.values_list("event_type__name", "schema"))


# --- who reads what -----------------------------------------------------------------------------------


def readers(name: str, broken: Sequence[Change]) -> list[dict[str, Any]]:
    """The services that run with a trigger for this type and read one of these fields: which, and through what."""
    found = []
    for service in selectors.event_type_listeners(name):
        reads: dict[str, set[str]] = {}
        for through, path in _reads(service, name):
            if any(touches(change.path, path) for change in broken):
                reads.setdefault(path, set()).add(through)
        if reads:
            through_all = sorted(set().union(*reads.values()))
            found.append({"service": service.name, "reads": sorted(reads), "through": through_all})
    return found[:_NAMED]


def _reads(service: Service, name: str) -> Iterator[tuple[str, str]]:
    """(through what, path in the data) for all that a manifest says it reads of events of this type."""
    for trigger in service.triggers.filter(event_type__in=selectors.event_type_patterns(name)):
        try:
            steps = compile_filter(trigger.filter).fields() if trigger.filter else ()
            for path in steps:
                if path[0] == "data":
                    yield "filter", shown(path[1:])
        except FilterError:
            continue  # the router leaves it out, too
    for field in service.version.parameters if service.version else ():
        yield "parameters", shown((str(field.get("name", "")),))
    for path in texts_in([service.limits, service.intake, service.precedence]):
        if path.startswith("data."):
            yield "flow control", path


# --- telling of it ------------------------------------------------------------------------------------


def changes_untold() -> list[EventSchema]:
    """Versions that broke their schema and whose event was not sent yet, or whose sender may have died after it."""
    found = EventSchema.objects.filter(told=False).select_related("event_type")
    return list(found.order_by("created_at", "pk")[:_NAMED])


def changes_told(rows: Sequence[EventSchema]) -> None:
    """Their events are on the log."""
    EventSchema.objects.filter(pk__in=[row.pk for row in rows]).update(told=True)


def change_event(row: EventSchema) -> Event:
    """The event that tells of a change: the same whoever makes it, so that it counts once."""
    name = row.event_type.name
    data = {
        "event_type": name,
        "version": row.number,
        "changes": [change for change in row.changes if change["kind"] != "added"],
        "event": row.sample,
        "consumers": row.consumers,
    }
    pk = uuid5(EVENT_IDS, f"{CHANGED}:{row.number}:{row.created_at.timestamp()}:{name}")
    flow = pk.hex[:10].upper()
    return events.new(
        CHANGED, SOURCE, data, now=row.created_at, id=str(pk), subject=name, correlation_id=flow
    )
