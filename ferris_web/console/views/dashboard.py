"""The first page, and one like it for each project: what happens now, what went wrong lately, and how it was before.

What has ended was added up in the background; a view reads sums.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ferris.errors import BackendError
from ferris_web import wiring
from ferris_web.accounts.permissions import Action, access_of, reach
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import Project, Service
from ferris_web.console import custom_charts, dashboards
from ferris_web.console.needs import opens
from ferris_web.executions import crews, overview, promised
from ferris_web.executions.figures import FIRST, PERIODS, figures
from ferris_web.executions.rankings import service_rankings
from ferris_web.executions.visibility import Projects, within

_ROWS = 6
_RANKED = 8


def dashboard(request: HttpRequest) -> HttpResponse:
    """Of all that this person sees."""
    return _page(request, reach(request.user), None)


def project_dashboard(request: HttpRequest, name: str) -> HttpResponse:
    """Of one project."""
    project = catalog.project_get(name)
    return _page(request, frozenset((project.pk,)), project)


def _page(request: HttpRequest, projects: Projects | None, project: Project | None) -> HttpResponse:
    now = timezone.now()
    period = PERIODS.get(request.GET.get("range", ""), PERIODS[FIRST])
    found = figures(period, now, projects=projects, project=project)
    ranked = service_rankings(period, _RANKED, projects=projects, project=project)
    opened = overview.open_counts(projects)
    links = dashboards.Links(project.name if project else "")
    services = within(Service.objects.filter(vanished_at=None), projects).count()
    context: dict[str, Any] = {
        "project": project,
        "no_role": not access_of(request.user).may_somewhere(Action.VIEW),
        "period": period,
        "periods": [
            (one, f"?range={one.name}" + ("&view=tables" if _tables(request) else ""))
            for one in PERIODS.values()
        ],
        "tables": _tables(request),
        "figures": found,
        "in_progress": sum(opened["in_progress"].values()),
        "waiting": sum((*opened["queued"].values(), *opened["pending"].values())),
        "completed_url": links(found.since, status="completed"),
        "failed_url": links(found.since, status="failed"),
        "plots": dashboards.plots(found, links, tables=_tables(request)),
        **custom_charts.section(request.user, project, period, now),
        "ranks": dashboards.ranks(ranked, found, links),
        "failures": overview.failures_last(_ROWS, projects),
        "latest": overview.latest(_ROWS, projects),
        "running": overview.running_now(_ROWS, projects),
        "schedules": within(catalog.schedule_list(active=True), projects)[:5],
        "services": services,
        "overdue": promised.overdue_count(now - timedelta(days=1), projects),
        "dead_letters": overview.dead_letter_count(now - timedelta(days=1), projects),
        **({} if project else _lag()),
        "lanes": dashboards.lanes(found, opened["queued"], opened["in_progress"], links),
        **_crew(request, now, projects),
    }
    return render(request, "console/dashboard.html", context)


def _tables(request: HttpRequest) -> bool:
    return request.GET.get("view") == "tables"


def _crew(request: HttpRequest, now: datetime, projects: Projects | None) -> dict[str, Any]:
    """The workers, for whoever may open their page."""
    if not opens(request.user, "workers"):
        return {}
    return {"workers": [one for one in crews.worker_list(now, projects) if one.state != "gone"]}


def _lag() -> dict[str, Any]:
    """Records that wait for the platform's own readers, by topic and group; or why that is not known."""
    try:
        topics = wiring.event_log().topics()
    except BackendError as error:
        return {"log_error": error}
    rows = [(topic.name, group, lag) for topic in topics for group, lag in topic.groups.items()]
    return {"lag": sum(lag for _, _, lag in rows), "lag_rows": [row for row in rows if row[2]]}
