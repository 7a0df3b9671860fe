"""Which executions go first: one is made more urgent, a lane is paused and goes on."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from ferris import lanes
from ferris.errors import Conflict, NotFound
from ferris.precedence import BY_HAND
from ferris_web.catalog.changes import notify
from ferris_web.executions.models import Execution, LanePause
from ferris_web.executions.services.changes import Change, changes_tell
from ferris_web.executions.services.turns import entry_of, turns_give

LANES_CHANGED = "lanes"
"""The notice on `ferris.control` that has the scheduler look who may ring now."""


def execution_prioritise(wanted: UUID, priority: int, *, now: datetime) -> Execution:
    """Give an execution that waits another priority, and so perhaps another lane.

    NotFound; Conflict when it runs or has ended.
    """
    with transaction.atomic():
        found = Execution.objects.select_for_update(of=("self",)).select_related("service").filter(pk=wanted)
        row = found.first()
        if row is None:
            raise NotFound(f"there is no execution {wanted}")
        if row.status not in ("pending", "queued"):
            raise Conflict(f"execution {wanted} does not wait any more: it is {row.status.replace('_', ' ')}")
        choice = lanes.choose(priority, row.trigger_type, slow=row.service.slow_since is not None)
        row.priority, row.lane, row.lane_reason = priority, choice.lane, choice.reason
        row.priority_from = BY_HAND
        row.turn = turns_give([entry_of(row)])[row.pk]
        if row.status == "queued":
            row.rung_at = None  # the doorbell that has rung, in another lane perhaps, may still be answered
        row.save(update_fields=["priority", "priority_from", "turn", "lane", "lane_reason", "rung_at"])
        notify(LANES_CHANGED)
    changes_tell([Change.of(row, row.service.name)])
    return row


def lane_pause(lane: str, *, actor: str, now: datetime) -> None:
    """Let nothing start in a lane from now on; what runs runs on. NotFound; Conflict when it is paused already."""
    _known(lane)
    with transaction.atomic():
        _, made = LanePause.objects.get_or_create(
            lane=lane, defaults={"paused_at": now, "paused_by": actor[:150]}
        )
        if not made:
            raise Conflict(f"the lane {lane} is paused already")
        # Their doorbells are not taken back: a claim finds the pause.
        Execution.objects.filter(status="queued", lane=lane, rung_at__isnull=False).update(rung_at=None)
    notify(LANES_CHANGED)


def lane_resume(lane: str, *, now: datetime) -> None:
    """Let a lane go on, with all that has waited, in its order. NotFound; Conflict when it is not paused."""
    _known(lane)
    with transaction.atomic():
        if not LanePause.objects.filter(lane=lane).delete()[0]:
            raise Conflict(f"the lane {lane} is not paused")
        notify(LANES_CHANGED)


def lanes_paused() -> dict[str, LanePause]:
    """The pauses of now, by lane."""
    return LanePause.objects.in_bulk()


def _known(lane: str) -> None:
    if lane not in lanes.LANES:
        raise NotFound(f"there is no lane {lane!r}; there are {', '.join(lanes.LANES)}")
