"""Rules of promises, events at seconds, and what became of both."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from ferris.events import Event
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import Project, PromiseRule
from ferris_web.executions.models import Promise
from ferris_web.executions.services.promises import (
    promises_close,
    promises_overdue,
    promises_told,
)
from tests.web.platform import NOW, dispatch_at, event

PATH = "/api/v1/promises/"


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def rule(
    after: str = "order.placed", expect: str = "order.shipped", within: float = 60, by: str = "correlation"
) -> PromiseRule:
    project, _ = Project.objects.get_or_create(name="shop")
    ends = {
        "after": {"event_type": after, "filter": None, "cesql": None},
        "expect": {"event_type": expect, "filter": None, "cesql": None},
    }
    made = PromiseRule.objects.create(
        id=uuid4(),
        project=project,
        name="in time",
        rule={"name": "in time", "within": within, "by": by, **ends},
    )
    revision_bump()
    return made


def of(kind: str, flow: str = "F", **data: Any) -> Event:
    return event(kind, data, correlation_id=flow)


def send(*pairs: tuple[Event, float]) -> None:
    """Each in a batch of its own, at that second."""
    for one, second in pairs:
        dispatch_at((one, at(second)), now=at(second))


def tell(second: float) -> list[Event]:
    """What the scheduler does then, when the router has read everything."""
    promises_close(at(second))
    found = promises_overdue()
    promises_told(pk for pk, _ in found)
    return [said for _, said in found]


def states() -> dict[str, str]:
    return dict(Promise.objects.values_list("event__event_id", "state"))
