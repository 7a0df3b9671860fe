"""Which services are slow: by how long their last runs took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from ferris import lanes
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.catalog.services import revision_bump
from ferris_web.executions.models import Execution, Pace


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended, and how long it took from its claim on."""

    service: UUID
    seconds: float


def paces_note(runs: Sequence[Run], now: datetime) -> bool:
    """Note how long runs took; a service whose last ones were slow moves to the lane `slow`, or back from it.

    What waits of it and was not rung yet moves along. True when any has moved. Only services of which a run was
    slow lately cost anything.
    """
    if not runs:
        return False
    threshold = wiring.config().slow_after_seconds
    with transaction.atomic():
        known = {
            pace.pk: pace
            for pace in Pace.objects.select_for_update().filter(pk__in={r.service for r in runs})
        }
        for run in runs:
            pace = known.setdefault(run.service, Pace(service_id=run.service))
            pace.last_seconds = [*pace.last_seconds, round(run.seconds, 1)][-lanes.LAST_RUNS :]
        Pace.objects.bulk_create(
            known.values(), update_conflicts=True, unique_fields=["service"], update_fields=["last_seconds"]
        )
        slow = {pk for pk, pace in known.items() if lanes.is_slow(pace.last_seconds, threshold)}
        quick = [
            pk
            for pk, p in known.items()
            if len(p.last_seconds) == lanes.LAST_RUNS and max(p.last_seconds) <= threshold
        ]
        moved = _move(slow, known.keys() - slow, now)
        Pace.objects.filter(pk__in=quick).delete()
    return moved


def _move(slow: set[UUID], fast: set[UUID], now: datetime) -> bool:
    become = set(Service.objects.filter(pk__in=slow, slow_since=None).values_list("pk", flat=True))
    cease = set(Service.objects.filter(pk__in=fast, slow_since__isnull=False).values_list("pk", flat=True))
    if not become and not cease:
        return False
    Service.objects.filter(pk__in=become).update(slow_since=now)
    Service.objects.filter(pk__in=cease).update(slow_since=None)
    waiting = Execution.objects.filter(Q(status="pending") | Q(status="queued", rung_at=None))
    waiting.filter(service__in=become, lane__in=(lanes.DEFAULT, lanes.SCHEDULED)).update(
        lane=lanes.SLOW, lane_reason="slow_service"
    )
    back = waiting.filter(service__in=cease, lane_reason="slow_service")
    for trigger in ("scheduled", "triggered"):
        of_trigger = back.filter(trigger_type="scheduled") if trigger == "scheduled" else back
        for priority in (5, 8):
            choice = lanes.choose(priority, trigger)
            of_priority = of_trigger.filter(priority__lte=7) if priority == 5 else of_trigger
            of_priority.update(lane=choice.lane, lane_reason=choice.reason)
    revision_bump()
    return True
