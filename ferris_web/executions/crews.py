"""Reads for who looks after lanes and executors."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Q

from ferris import lanes
from ferris.errors import NotFound
from ferris.lanes import Crew
from ferris_web.executions.models import Execution, Worker
from ferris_web.executions.services.urgency import lanes_paused
from ferris_web.executions.services.workers import ALIVE
from ferris_web.executions.visibility import Projects

STATES: Final = ("active", "draining", "drained", "stopping", "gone")
"""Of a worker."""


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


@dataclass(frozen=True)
class Running:
    """What a worker runs."""

    id: UUID
    service: str
    correlation_id: str
    since: datetime | None
    shown: bool = True


@dataclass(frozen=True)
class WorkerState:
    """A worker, and what it runs. `state`: one of `STATES`.

    Without `started_at` only its executions tell of it.
    """

    name: str
    state: str
    lanes: list[str]
    slots: int
    started_at: datetime | None
    seen_at: datetime | None
    drain_by: str
    running: list[Running]
    isolation: dict[str, Any]


def worker_list(now: datetime, projects: Projects | None = None) -> list[WorkerState]:
    """Workers by name: those that were heard of within a day, and whoever runs something; of what they run, that of
    these projects."""
    running: dict[str, list[Running]] = defaultdict(list)
    rows = Execution.objects.filter(status="in_progress").order_by("claimed_at")
    names = ("worker", "service__project_id", "id", "service__name", "correlation_id", "claimed_at")
    for worker, project, *what in rows.values_list(*names):
        running[worker].append(Running(*what, shown=projects is None or project in projects))
    known = {row.name: row for row in Worker.objects.all()}
    return [
        _worker(name, known.get(name), running.get(name, []), now)
        for name in sorted({*known, *running})
        if name
    ]


def _worker(name: str, row: Worker | None, running: list[Running], now: datetime) -> WorkerState:
    shown = [one for one in running if one.shown]
    if row is None:
        return WorkerState(name, "active", [], 0, None, None, "", shown, {})
    return WorkerState(
        name,
        _state(row, bool(running), now),
        row.lanes,
        row.slots,
        row.started_at,
        row.seen_at,
        row.drain_by,
        shown,
        row.isolation,
    )


def _state(row: Worker, busy: bool, now: datetime) -> str:
    if abs(now - row.seen_at) > ALIVE:
        return "gone"
    if row.stops:
        return "stopping"
    if row.drain_at is not None:
        return "draining" if busy else "drained"
    return "active"


def worker_get(name: str, now: datetime) -> WorkerState:
    """One worker; NotFound."""
    for found in worker_list(now):
        if found.name == name:
            return found
    raise NotFound(f"there is no worker {name!r}")


def crews(now: datetime) -> list[Crew]:
    """Workers that take executions, as spilling sees them."""
    rows = Worker.objects.filter(seen_at__range=(now - ALIVE, now + ALIVE), stops=False, drain_at=None)
    found = list(rows.values_list("name", "lanes", "slots"))
    if len({tuple(of) for _, of, _ in found}) < 2:
        return [Crew(frozenset(of), slots, 0) for _, of, slots in found]  # nothing to spill: nobody counts
    busy = Execution.objects.filter(status="in_progress").order_by().values_list("worker")
    running = dict(busy.annotate(n=Count("id")))
    return [Crew(frozenset(of), slots, running.get(name, 0)) for name, of, slots in found]
