"""Executions that ended, pushed to who subscribed to that.

The delivery is written in the transaction that ends the execution, and no execution ends twice: one message each. What
it says is read from the execution when it is sent; no event goes on the log for it, so that no service can be triggered
by the ends of its own executions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from ferris import pushing
from ferris.adapters.prepared import Prepared
from ferris.events import Event
from ferris.routing import RoutingTable, Trigger
from ferris_web.catalog.models import Subscription
from ferris_web.executions.models import Delivery, Execution

_LISTENING = (
    Subscription.objects.exclude(status=Subscription.Status.DISABLED)
    .filter(event_type__in=pushing.ENDED_PATTERNS)
    .order_by("name")
)
# Asked for whenever executions end; most projects have none.
_LISTENED_TO = Prepared(lambda projects: _LISTENING.filter(project__in=projects).values_list("project_id"))


def deliveries_of_endings(rows: Iterable[Execution], now: datetime) -> bool:
    """A delivery for each subscription of its project that the end of one of these executions matches, in the
    transaction that ends it; True when there are some."""
    ended = [row for row in rows if row.status in pushing.ENDED]
    if not ended:
        return False
    projects = [project for project in {row.project_id for row in ended} if project is not None]
    if not projects or not _LISTENED_TO.rows(projects):
        return False
    by_project: dict[UUID | None, list[Subscription]] = {}
    for one in _LISTENING.filter(project__in=projects).select_related("project"):
        by_project.setdefault(one.project_id, []).append(one)
    made: list[Delivery] = []
    for row in ended:
        mine = by_project.get(row.project_id)
        if mine:
            event = ending_of(row, mine[0].project.name)
            made += (_delivery(one, row, event, now) for one in mine if _matches(one, event))
    Delivery.objects.bulk_create(made, ignore_conflicts=True)
    return bool(made)


def _matches(subscription: Subscription, event: Event) -> bool:
    trigger = Trigger(
        str(subscription.pk), subscription.name, subscription.event_type,
        filter=subscription.filter, cesql=subscription.cesql or None,
    )  # fmt: skip
    return bool(RoutingTable([trigger], refused=lambda trigger, error: None).match(event))


def _delivery(subscription: Subscription, row: Execution, event: Event, now: datetime) -> Delivery:
    return Delivery(
        id=pushing.delivery_id(subscription.pk, row.pk),
        subscription=subscription,
        event_key=row.pk,
        event_id=event.id,
        event_type=event.type,
        created_at=now,
        due_at=now,
    )


def endings(keys: Iterable[UUID]) -> Mapping[UUID, Event]:
    """What is to be sent of these executions, by their ids."""
    rows = Execution.objects.select_related("service", "project", "event").in_bulk(list(keys))
    return {
        pk: ending_of(row, row.project.name if row.project else "", row.event.hops + 1)
        for pk, row in rows.items()
        if row.status in pushing.ENDED
    }


def ending_of(row: Execution, project: str, hops: int = 0) -> Event:
    """The event that tells of the end of an execution: always the same for one."""
    return pushing.ended_event(
        row.pk,
        status=row.status,
        at=row.finished_at or row.created_at,
        flow=row.flow_id,
        hops=hops,
        said={
            "execution": str(row.pk),
            "service": getattr(row, "service_name", None) or row.service.name,
            "project": project,
            "status": row.status,
            "reason": row.reason,
            "error": row.error[: pushing.MAX_ERROR],
            "trigger_type": row.trigger_type,
            "attempt": row.attempt,
        },
    )
