"""A service is paused and goes on: its executions wait meanwhile, in their places."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import transaction

from ferris import events, lifecycle
from ferris.config import LIFECYCLE
from ferris.errors import Conflict
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.catalog.services import revision_bump
from ferris_web.executions.models import Execution
from ferris_web.executions.services.admission import gates_make, held

_AT_ONCE = 1000


def service_pause(service: Service, *, actor: str, now: datetime) -> int:
    """Let nothing of the service start from now on; what runs runs on. Gives how many that were queued wait now.

    Events go on being routed: their executions wait, too. Conflict when it is paused already.
    """
    with transaction.atomic():
        if not Service.objects.filter(pk=service.pk, paused_at=None).update(
            paused_at=now, paused_by=actor[:150]
        ):
            raise Conflict(f"{service.name} is paused already")
        gates_make([service.pk])
        # Their doorbells have rung and are not taken back: a claim of what is not queued fails.
        waiting = Execution.objects.filter(service=service, status="queued").update(
            status="pending", rung_at=None, not_before=None
        )
        revision_bump()
    service.refresh_from_db()
    return waiting


def service_resume(service: Service, *, skip: bool, actor: str, now: datetime) -> int:
    """Let the service go on: with what has waited, in its order, or (`skip`) without it. Gives how many that are.

    A retry's delay goes on by itself, whatever is chosen. Conflict when it is not paused.
    """
    gone: list[tuple[UUID, str, int]] = []
    with transaction.atomic():
        if not Service.objects.filter(pk=service.pk, paused_at__isnull=False).update(
            paused_at=None, paused_by=""
        ):
            raise Conflict(f"{service.name} is not paused")
        waiting = held(Execution.objects.filter(service=service)).order_by()
        if skip:
            gone = list(waiting.select_for_update().values_list("pk", "flow_id", "attempt"))
            waiting.update(
                status="skipped",
                finished_at=now,
                reason="paused",
                error=f"it came while {service.name} was paused; {actor} let the service go on without it",
            )
        count = len(gone) if skip else waiting.count()
        revision_bump()  # its notice has the scheduler admit them
    for start in range(0, len(gone), _AT_ONCE):
        wiring.event_log().append(LIFECYCLE, list(_skips(gone[start : start + _AT_ONCE], actor, now)))
    service.refresh_from_db()
    return count


def _skips(gone: list[tuple[UUID, str, int]], actor: str, now: datetime) -> Iterator[Record]:
    for pk, flow, attempt in gone:
        event = events.new(
            lifecycle.SKIPPED,
            f"ferris/person/{actor}",
            {"execution": str(pk), "attempt": attempt, "reason": "paused", "by": actor},
            now=now,
            subject=str(pk),
            correlation_id=flow,
        )
        yield Record(events.encode(event), key=str(pk))
