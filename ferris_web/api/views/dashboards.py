"""What dashboards show, as values."""

from __future__ import annotations

from datetime import UTC, datetime

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import reach
from ferris_web.api.incoming import query_of
from ferris_web.api.serializers import dashboards as shapes
from ferris_web.catalog.models import Project
from ferris_web.catalog.selectors import project_get, service_get
from ferris_web.executions.figures import PERIODS, figures
from ferris_web.executions.metrics import metric_list
from ferris_web.executions.rankings import service_rankings
from ferris_web.executions.visibility import Projects

_RANKED = 20
_TOLD = (
    "Read from roll-ups: executions that have ended are added up some seconds later, and stay in the figures when "
    "the journal has let them go. Hours are kept for 100 days, days for three years."
)


class Dashboard(APIView):
    """Of all that the caller sees."""

    @extend_schema(
        summary="Figures of all projects that you see",
        description=_TOLD,
        parameters=[shapes.DashboardQuery],
        responses=shapes.Dashboard,
    )
    def get(self, request: Request) -> Response:
        return _answer(request, reach(request.user), None)


class ProjectDashboard(APIView):
    """Of one project."""

    @extend_schema(
        summary="Its figures",
        description=_TOLD,
        parameters=[shapes.DashboardQuery],
        responses=shapes.Dashboard,
    )
    def get(self, request: Request, name: str) -> Response:
        project = project_get(name)
        return _answer(request, frozenset((project.pk,)), project)


def _answer(request: Request, projects: Projects | None, project: Project | None) -> Response:
    period = PERIODS[query_of(request, shapes.DashboardQuery)["range"]]
    now = datetime.now(UTC)
    found = figures(period, now, projects=projects, project=project)
    ranked = service_rankings(period, _RANKED, projects=projects, project=project)
    lanes = [
        {
            "lane": name,
            "count": one.count,
            "average": one.average,
            "p50": one.p50,
            "p95": one.p95,
            "most": one.most,
        }
        for name, one in found.lanes.items()
    ]
    said = {
        "range": period.name,
        "span": period.span,
        "since": found.since,
        "until": found.until,
        "outcomes": found.statuses,
        "trigger_types": found.triggers,
        "took": found.took,
        "waited": found.waited,
        "lanes": lanes,
        "frequent": ranked.frequent,
        "slowest": ranked.slowest,
        "failing": ranked.failing,
        "spans": found.spans,
    }
    return Response(shapes.Dashboard(said).data)


class ServiceMetrics(APIView):
    """What a service recorded by `context.metrics`."""

    @extend_schema(
        summary="What it recorded by context.metrics",
        description="Added up by hour or day. A service has at most 200 of them: names times combinations of labels.",
        parameters=[shapes.DashboardQuery],
        responses=shapes.Metrics,
    )
    def get(self, request: Request, name: str) -> Response:
        period = PERIODS[query_of(request, shapes.DashboardQuery)["range"]]
        now = datetime.now(UTC)
        found = metric_list(service_get(name), period, now)
        said = {"range": period.name, "span": period.span, "since": period.since(now), "results": found}
        return Response(shapes.Metrics(said).data)
