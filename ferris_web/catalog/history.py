"""The catalog as it was: what each service was at every revision, so that an old event can still be explained.

Written by `revision_bump`, inside the transaction that makes the change: no change can forget it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet

from ferris import routing
from ferris_web.catalog.models import Revision, Service, ServiceHistory, Trigger, TriggerHistory

_AT_ONCE = 500


@dataclass(frozen=True)
class Past:
    """What a service was at a revision. `exact` is False when only a later state of it is known."""

    service_id: UUID
    version_id: int
    active: bool
    vanished: bool
    exact: bool
    triggers: tuple[routing.Trigger, ...]


def history_record(revision: int) -> None:
    """Close the entries of services that are no longer what they say, and begin new ones at this revision."""
    changed = list(_changed().only("id", "version_id", "active", "vanished_at"))
    _begin(changed, revision, late=False)


def history_begin() -> None:
    """Begin the history of services that have none, although they may have been there for long."""
    revision = Revision.objects.filter(pk=1).values_list("number", flat=True).first() or 0
    new = _changed().exclude(Exists(ServiceHistory.objects.filter(service=OuterRef("pk"))))
    _begin(list(new.only("id", "version_id", "active", "vanished_at")), revision, late=True)


def _changed() -> QuerySet[Service]:
    gone = ExpressionWrapper(Q(vanished_at__isnull=False), output_field=BooleanField())
    same = ServiceHistory.objects.filter(
        service=OuterRef("pk"),
        until=None,
        version=OuterRef("version"),
        active=OuterRef("active"),
        vanished=OuterRef("gone"),
    )
    return (
        Service.objects.filter(version__isnull=False).annotate(gone=gone).exclude(Exists(same)).order_by("pk")
    )


def _begin(services: Sequence[Service], revision: int, *, late: bool) -> None:
    for at in range(0, len(services), _AT_ONCE):
        batch = services[at : at + _AT_ONCE]
        ids = [service.pk for service in batch]
        ServiceHistory.objects.filter(service__in=ids, until=None).update(until=revision)
        entries = ServiceHistory.objects.bulk_create(
            ServiceHistory(
                service_id=service.pk,
                since=revision,
                late=late,
                version_id=service.version_id,
                active=service.active,
                vanished=service.vanished_at is not None,
            )
            for service in batch
        )
        by_service = {entry.service_id: entry.pk for entry in entries}
        TriggerHistory.objects.bulk_create(
            TriggerHistory(
                entry_id=by_service[row.service_id],
                position=row.position,
                event_type=row.event_type,
                filter=row.filter,
                cesql=row.cesql,
            )
            for row in Trigger.objects.filter(service__in=ids)
        )


def entries_at(revision: int) -> Q:
    """The one entry of each service that holds at this revision; the first one known, if that began too late."""
    begun = Q(since__lte=revision) | Q(late=True)
    return begun & (Q(until=None) | Q(until__gt=revision))


def services_at(revision: int, services: Iterable[Service]) -> dict[UUID, Past]:
    """What these services were at that revision; one that was not there yet is missing. Two queries."""
    names = {service.pk: service.name for service in services}
    entries = ServiceHistory.objects.filter(entries_at(revision), service__in=list(names)).order_by()
    by_id = {entry.pk: entry for entry in entries}
    triggers: dict[int, list[routing.Trigger]] = {pk: [] for pk in by_id}
    for row in TriggerHistory.objects.filter(entry__in=list(by_id)).order_by("entry", "position"):
        service = by_id[row.entry_id].service_id
        triggers[row.entry_id].append(_routed(row, service, names[service]))
    return {
        entry.service_id: Past(
            service_id=entry.service_id,
            version_id=entry.version_id,
            active=entry.active,
            vanished=entry.vanished,
            exact=entry.since <= revision,
            triggers=tuple(triggers[pk]),
        )
        for pk, entry in by_id.items()
    }


def services_now(services: Iterable[Service]) -> dict[UUID, Past]:
    """What these services are by the rows of now; one without a version is missing. One query."""
    known = {service.pk: service for service in services if service.version_id is not None}
    triggers: dict[UUID, list[routing.Trigger]] = {pk: [] for pk in known}
    for row in Trigger.objects.filter(service__in=list(known)).order_by("service", "position"):
        triggers[row.service_id].append(_routed(row, row.service_id, known[row.service_id].name))
    return {
        pk: Past(
            pk, service.version_id, service.active, service.vanished_at is not None, True, tuple(triggers[pk])
        )
        for pk, service in known.items()
    }


def _routed(row: Trigger | TriggerHistory, service_id: UUID, name: str) -> routing.Trigger:
    return routing.Trigger(
        service_id=str(service_id),
        service=name,
        event_type=row.event_type,
        filter=row.filter,
        cesql=row.cesql,
    )


def listeners_at(revision: int, patterns: Sequence[str]) -> QuerySet[Service]:
    """The services that had a trigger with one of these patterns then, or have one now; by name."""
    then = ServiceHistory.objects.filter(entries_at(revision), triggers__event_type__in=patterns)
    now = Trigger.objects.filter(event_type__in=patterns)
    return Service.objects.filter(
        Q(pk__in=then.order_by().values("service")) | Q(pk__in=now.order_by().values("service"))
    )
