"""Reads over many executions at once: figures of the dashboard, of services and of flows.

Each function is a fixed number of queries, whatever the number of rows it tells about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Avg, Count, F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from ferris_web.catalog.models import Service
from ferris_web.executions.models import OPEN, STATUSES, DeadLetter, Event, Execution, Flow
from ferris_web.executions.visibility import Projects, among, executions_apart, within

STATUS_NAMES = tuple(name for name, _ in STATUSES)
"""All of them: asked for with a time, an index answers alone."""


def status_counts(
    since: datetime, service: Service | None = None, projects: Projects | None = None
) -> dict[str, int]:
    """How many executions made since then have which status."""
    found = within(Execution.objects.filter(created_at__gte=since, status__in=STATUS_NAMES), projects)
    if service is not None:
        found = found.filter(service=service)
    return dict(found.order_by().values_list("status").annotate(n=Count("id")))


def failures_last(limit: int, projects: Projects | None = None) -> list[Execution]:
    """The executions that failed last, newest first."""
    failed = Execution.objects.filter(status="failed").select_related("service__project")
    return _newest(failed, limit, projects)


def running_now(limit: int, projects: Projects | None = None) -> list[Execution]:
    """Executions that an executor holds, the newest first."""
    running = Execution.objects.filter(status="in_progress").select_related("service__project")
    return list(among(running, projects).order_by("-created_at", "-id")[:limit])


def latest(limit: int, projects: Projects | None = None) -> list[Execution]:
    """The executions that were made last, newest first."""
    return _newest(Execution.objects.select_related("service"), limit, projects)


def _newest(rows: QuerySet[Execution], limit: int, projects: Projects | None) -> list[Execution]:
    found, order = within(rows, projects), ("-created_at", "-id")
    if (apart := executions_apart(projects)) is not None:
        found = apart.first(found, order, limit)
    return list(found.order_by(*order)[:limit])


def open_counts(projects: Projects | None = None) -> dict[str, dict[str, int]]:
    """How many executions are pending, queued or in progress, however old: by status, then by lane."""
    found: dict[str, dict[str, int]] = {status: {} for status in OPEN}
    rows = among(Execution.objects.filter(status__in=OPEN), projects).order_by()
    for status, lane, amount in rows.values_list("status", "lane").annotate(n=Count("id")):
        found[status][lane] = amount
    return found


def latest_of(services: Sequence[Service]) -> dict[UUID, Execution]:
    """The latest execution of each of these services that has one."""
    newest = Execution.objects.filter(service=OuterRef("pk")).order_by("-created_at", "-id").values("id")[:1]
    ids = (
        Service.objects.filter(pk__in=[s.pk for s in services])
        .order_by()
        .annotate(latest=Subquery(newest))
        .values_list("latest", flat=True)
    )
    return {row.service_id: row for row in Execution.objects.filter(pk__in=[pk for pk in ids if pk])}


def duration_average(service: Service, since: datetime) -> timedelta | None:
    """How long the service's completed executions took on average; None without one."""
    runs = Execution.objects.filter(service=service, created_at__gte=since, started_at__isnull=False)
    # Or SQLite would read along the index of the status: all that completed.
    done = runs.alias(ended=Coalesce("status", Value(""))).filter(ended="completed")
    found: timedelta | None = done.aggregate(mean=Avg(F("finished_at") - F("started_at")))["mean"]
    return found


def flow_counts(flows: Iterable[Flow], projects: Projects | None = None) -> dict[str, dict[str, int]]:
    """How many executions of each flow, in these projects, have which status."""
    found: dict[str, dict[str, int]] = {flow.pk: {} for flow in flows}
    rows = (
        among(Execution.objects.filter(flow_id__in=list(found)), projects)
        .order_by()
        .values_list("flow_id", "status")
        .annotate(n=Count("id"))
    )
    for flow_id, status, amount in rows:
        found[flow_id][status] = amount
    return found


def service_peers(
    service: Service, since: datetime, projects: Projects | None = None
) -> tuple[list[str], list[str]]:
    """Names of the services, in these projects, whose executions really caused runs of this one since then, and of
    those it caused."""
    runs = Execution.objects.filter(service=service, created_at__gte=since).order_by("-created_at", "-id")[
        :500
    ]
    parents = [parent for parent in runs.values_list("parent_id", flat=True) if parent]
    before = Execution.objects.filter(pk__in=parents).order_by()
    after = Execution.objects.filter(parent_id__in=list(runs.values_list("id", flat=True))).order_by()
    names = [
        set(found.values_list("service__name", flat=True))
        for found in (among(before, projects), among(after, projects))
    ]
    return sorted(names[0]), sorted(names[1])


@dataclass
class Caused:
    """Events of one type that an execution sent, or executions of one service that came of them."""

    name: str
    count: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    only: Event | Execution | None = None  # when it is one


@dataclass
class Consequences:
    """What came of one execution directly, by name, the most frequent first."""

    events: list[Caused]
    executions: list[Caused]


def caused_by(row: Execution, projects: Projects | None = None) -> Consequences:
    """What an execution sent, and what that made run."""
    sent = Event.objects.filter(flow_id=row.flow_id, causation_id=str(row.pk)).order_by()
    found = [Caused(name, count) for name, count in sent.values_list("type").annotate(n=Count("key"))]
    runs: dict[str, Caused] = {}
    children = among(Execution.objects.filter(parent_id=row.pk), projects).order_by()
    for name, status, count in children.values_list("service__name", "status").annotate(n=Count("id")):
        made = runs.setdefault(name, Caused(name))
        made.count += count
        made.statuses[status] = count
    types = {caused.name: caused for caused in found if caused.count == 1}
    for event in sent.filter(type__in=types).defer("data", "extensions"):
        types[event.type].only = event
    names = {name: caused for name, caused in runs.items() if caused.count == 1}
    for child in children.filter(service__name__in=names).select_related("service"):
        names[child.service.name].only = child
    return Consequences(sorted(found, key=_often), sorted(runs.values(), key=_often))


def _often(caused: Caused) -> tuple[int, str]:
    return -caused.count, caused.name


def dead_letter_count(since: datetime, projects: Projects | None = None) -> int:
    """How many records were set aside since then."""
    return within(DeadLetter.objects.filter(created_at__gte=since), projects).count()
