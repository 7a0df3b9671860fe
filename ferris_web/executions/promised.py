"""Reads of promises: which flows are late, and what became of each promise."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, QuerySet, Value, When

from ferris.event_keys import CORRELATION
from ferris.promises import LATE, OVERDUE
from ferris_web.executions.models import Flow, Promise
from ferris_web.executions.visibility import Projects, within

SHOWN = 100
"""Of the promises of one flow: those that are late first."""


def promise_list(
    *, project: str = "", name: str = "", state: str = "", flow_id: str = ""
) -> QuerySet[Promise]:
    """Promises that events have begun, newest first."""
    found = Promise.objects.select_related("rule__project", "event").defer("event__data", "event__extensions")
    wanted = {"rule__project__name": project, "rule__name": name, "state": state, "flow_id": flow_id}
    return found.filter(**{field: value for field, value in wanted.items() if value})


def flow_promises(flow_id: str, projects: Projects | None = None) -> list[Promise]:
    """Some of a flow's promises: those that were not kept in time first, then the newest."""
    first = Case(When(state=OVERDUE, then=Value(0)), When(state=LATE, then=Value(1)), default=Value(2))
    return list(within(promise_list(flow_id=flow_id), projects).order_by(first, "-given_at", "-id")[:SHOWN])


def flows_overdue(flows: QuerySet[Flow]) -> QuerySet[Flow]:
    """Those of these flows in which a promise is overdue, and still not kept."""
    return flows.filter(pk__in=Promise.objects.filter(state=OVERDUE).order_by().values("flow_id"))


def overdue_among(flows: list[Flow]) -> set[str]:
    """The ids of those among these flows, for a page of them."""
    found = Promise.objects.filter(flow_id__in=[flow.pk for flow in flows], state=OVERDUE)
    return set(found.order_by().values_list("flow_id", flat=True))


def overdue_count(since: datetime, projects: Projects | None = None) -> int:
    """How many flows have become overdue since then, and still are."""
    late = within(Promise.objects.filter(state=OVERDUE, due_at__gte=since), projects)
    return late.order_by().values("flow_id").distinct().count()


def took(row: Promise) -> timedelta | None:
    """How long the answer took, if there is one."""
    return row.answered_at - row.given_at if row.answered_at else None


def by_of(row: Promise) -> str:
    """What both events share, as ferris.json says it."""
    rule: dict[str, Any] = row.rule.rule
    return "flow" if rule["by"] == CORRELATION else str(rule["by"])
