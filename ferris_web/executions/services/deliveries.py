"""What people do with deliveries: look, send again, try a subscription, let it go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from ferris import pushing
from ferris.errors import Conflict, NotFound
from ferris_web.catalog.changes import notify, revision_bump
from ferris_web.catalog.models import Subscription
from ferris_web.catalog.subscriptions import CHANGED, subscription_get
from ferris_web.executions.models import Delivery, DeliveryAttempt

SKIP: Final = "skip"
DRAIN: Final = "drain"
_AT_ONCE: Final = 500
_Status = Delivery.Status
_OPEN: Final = (_Status.PENDING, _Status.SENDING)


def delivery_list(row: Subscription, status: str = "") -> QuerySet[Delivery]:
    """Its deliveries, newest first, or those of one status."""
    rows = row.deliveries.order_by("-created_at", "-id")
    return rows.filter(status=status) if status else rows


def delivery_get(name: str, wanted: UUID) -> Delivery:
    """One delivery of a subscription of that name; NotFound."""
    rows = Delivery.objects.select_related("subscription__project")
    found = rows.filter(pk=wanted, subscription__name=name).first()
    if found is None:
        raise NotFound(f"there is no delivery {wanted} of a subscription {name!r}")
    return found


def delivery_counts(row: Subscription) -> dict[str, int]:
    """How many of its deliveries there are by status."""
    found = row.deliveries.order_by().values_list("status").annotate(n=Count("pk"))
    return dict.fromkeys(_Status.values, 0) | dict(found)


def subscription_test(row: Subscription, *, now: datetime) -> Delivery:
    """Send it a sample, at once and a single time. Conflict unless it is active."""
    if row.status != Subscription.Status.ACTIVE:
        raise Conflict(f"the subscription {row.name} is {row.status}; resume it first")
    with transaction.atomic():
        made = Delivery.objects.create(
            subscription=row, event_type=pushing.TEST_TYPE, created_at=now, due_at=now
        )
        notify(CHANGED)
    return made


def delivery_again(delivery: Delivery, *, now: datetime) -> Delivery:
    """Send it once more, with all its tries, under the same id; Conflict while it waits to be sent anyway, and for
    a sample."""
    if delivery.test:
        raise Conflict("it is a sample; send a new one")
    with transaction.atomic():
        moved = (
            Delivery.objects.filter(pk=delivery.pk)
            .exclude(status=_Status.SENDING)
            .update(status=_Status.PENDING, due_at=now, tries=0, claim="", finished_at=None)
        )
        if not moved:
            raise Conflict("it is being sent at this moment")
        notify(CHANGED)
    return delivery_get(delivery.subscription.name, delivery.pk)


def deliveries_again(row: Subscription, *, since: datetime, now: datetime) -> int:
    """Send again all that failed or were cancelled of events since then; how many."""
    with transaction.atomic():
        moved = row.deliveries.filter(
            status__in=(_Status.FAILED, _Status.CANCELLED), created_at__gte=since, event_key__isnull=False
        ).update(status=_Status.PENDING, due_at=now, tries=0, claim="", finished_at=None)
        notify(CHANGED)
    return moved


def subscription_resume(row: Subscription, *, waiting: str = DRAIN, now: datetime) -> Subscription:
    """Let it go on; what waits is sent, or (skip) is not. Conflict when it is active."""
    with transaction.atomic():
        moved = (
            Subscription.objects.filter(pk=row.pk)
            .exclude(status=Subscription.Status.ACTIVE)
            .update(
                status=Subscription.Status.ACTIVE, failing_since=None, disabled_at=None, disabled_reason="",
                disabled_told=True,
            )
        )  # fmt: skip
        if not moved:
            raise Conflict(f"the subscription {row.name} is active")
        held = Delivery.objects.filter(subscription=row, status__in=_OPEN)
        if waiting == SKIP:
            held.update(status=_Status.CANCELLED, finished_at=now, claim="")
        else:
            held.filter(status=_Status.PENDING).update(due_at=now)
        revision_bump()
        notify(CHANGED)
    return subscription_get(row.name)


def deliveries_prune(before: datetime, *, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove what was written before and is finished, or whose subscription is gone or switched off; how many."""
    owner = Subscription.objects.filter(pk=OuterRef("subscription_id"))
    live = owner.exclude(status=Subscription.Status.DISABLED)
    old = Delivery.objects.filter(created_at__lt=before).filter(~Q(status__in=_OPEN) | ~Exists(live))
    removed = 0
    while not stopped():
        ids = list(old.order_by("created_at").values_list("pk", flat=True)[:_AT_ONCE])
        if not ids:
            return removed
        with transaction.atomic():
            DeliveryAttempt.objects.filter(delivery__in=ids).delete()
            Delivery.objects.filter(pk__in=ids).delete()
        removed += len(ids)
    return removed
