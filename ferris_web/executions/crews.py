"""Reads for who looks after lanes and executors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from ferris import lanes
from ferris_web.executions.models import Execution
from ferris_web.executions.services.urgency import lanes_paused


@dataclass(frozen=True)
class LaneState:
    """A lane, and what waits and runs in it."""

    name: str
    paused_at: datetime | None
    paused_by: str
    waiting: int
    unrung: int
    running: int


def lane_list() -> list[LaneState]:
    """The lanes, the most urgent first."""
    pauses = lanes_paused()
    queued = Execution.objects.filter(status="queued").order_by().values_list("lane")
    waiting = {
        lane: (count, unrung)
        for lane, count, unrung in queued.annotate(n=Count("id"), unrung=Count("id", filter=Q(rung_at=None)))
    }
    running = Counter(
        Execution.objects.filter(status="in_progress").order_by().values_list("lane", flat=True)
    )
    return [
        LaneState(
            lane,
            pauses[lane].paused_at if lane in pauses else None,
            pauses[lane].paused_by if lane in pauses else "",
            *waiting.get(lane, (0, 0)),
            running[lane],
        )
        for lane in lanes.LANES
    ]
