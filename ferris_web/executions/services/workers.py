"""Executors' processes: known by their heartbeats, drained on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ferris.errors import Conflict, NotFound
from ferris_web.catalog.changes import notify
from ferris_web.executions.models import Worker
from ferris_web.executions.services.urgency import LANES_CHANGED

ALIVE = timedelta(seconds=60)
"""A worker that said nothing for so long is held for gone; an idle one says something three times as often."""

_WRITTEN = timedelta(seconds=10)
_FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class About:
    """What a worker says of itself."""

    lanes: tuple[str, ...]
    slots: int
    started_at: datetime
    stops: bool = False
    leaves: bool = False
    isolation: Mapping[str, Any] = field(default_factory=dict)


def worker_seen(name: str, about: About, now: datetime) -> bool:
    """Note that a worker is there, and what it is; whether it is to drain. Written only when something is new."""
    if about.leaves:
        Worker.objects.filter(pk=name).delete()
        return False
    row = Worker.objects.filter(pk=name).first()
    if row is None:
        Worker.objects.filter(seen_at__lt=now - _FORGOTTEN).delete()
        row = Worker(name=name, seen_at=now)
    said = {
        "lanes": list(about.lanes),
        "slots": about.slots,
        "started_at": about.started_at,
        "stops": about.stops,
        "isolation": dict(about.isolation),
    }
    news = row._state.adding or any(getattr(row, attribute) != value for attribute, value in said.items())
    if news or abs(now - row.seen_at) >= _WRITTEN:  # a clock may have been set back
        Worker.objects.bulk_create(
            [Worker(name=name, seen_at=now, **said)],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["seen_at", *said],  # not the drain: somebody may ask for it just now
        )
    return row.drain_at is not None


def worker_drain(name: str, *, actor: str, now: datetime) -> None:
    """Have a worker finish what it runs and take nothing new. NotFound; Conflict when it drains already.

    A claim of it is refused from now on; it hears of it then, or with its next heartbeat.
    """
    _known(name)
    if not Worker.objects.filter(pk=name, drain_at=None).update(drain_at=now, drain_by=actor[:150]):
        raise Conflict(f"the worker {name} drains already")
    notify(LANES_CHANGED)


def worker_resume(name: str) -> None:
    """Let a worker take executions again, from its next heartbeat on. NotFound; Conflict when it does already."""
    _known(name)
    if not Worker.objects.filter(pk=name, drain_at__isnull=False).update(drain_at=None, drain_by=""):
        raise Conflict(f"the worker {name} does not drain")
    notify(LANES_CHANGED)


def _known(name: str) -> None:
    if not Worker.objects.filter(pk=name).exists():
        raise NotFound(f"there is no worker {name!r}")
