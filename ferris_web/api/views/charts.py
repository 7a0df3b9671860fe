"""Charts that people define: who sees a dashboard sees its charts; who maintains a project changes its own, and
administrators those of the platform."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core import exceptions as django_errors
from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import Action, access_of, require
from ferris_web.api.incoming import actor_of, body_of, query_of
from ferris_web.api.pagination import KeysetPagination
from ferris_web.api.serializers import charts as shapes
from ferris_web.catalog.models import Project, Service
from ferris_web.catalog.selectors import project_get
from ferris_web.executions.auditing import audit_made
from ferris_web.executions.charted import Charted, charted, tried
from ferris_web.executions.figures import PERIODS
from ferris_web.executions.listings.export import FORMS, csv_lines, safe_cell
from ferris_web.executions.models import Chart
from ferris_web.executions.services import charts
from ferris_web.executions.visibility import allow, within

_EVENTS = {
    "project": "shop",
    "title": "Revenue by shop",
    "kind": "bar",
    "source": "events",
    "event_type": "shop.order.placed",
    "aggregate": "sum",
    "value_path": "data.total",
    "group_path": "data.shop",
    "unit": "EUR",
}
_URL = {
    "project": "shop",
    "title": "Stock",
    "kind": "table",
    "source": "url",
    "url": "https://example.org/stock.json",
    "every_minutes": 15,
    "header": "Authorization",
    "header_secret": "stock_api",
}
_DATA = {
    "title": "Revenue by shop",
    "kind": "bar",
    "range": "7d",
    "unit": "EUR",
    "labels": ["01 May", "02 May"],
    "series": [{"name": "north", "values": [120, None]}],
    "answered_at": None,
    "problem": None,
    "failing_since": None,
    "filled": None,
    "left_out": 0,
}


class ByPlace(KeysetPagination):
    """As they stand on their dashboards."""

    ordering = ("position", "id")


@extend_schema_view(
    get=extend_schema(
        summary="Charts, as they stand on their dashboards",
        description="Of a project, or those of all that you see.",
        parameters=[shapes.ChartQuery],
    )
)
class ChartList(ListAPIView):
    """Charts."""

    queryset = Chart.objects.none()
    serializer_class = shapes.Chart
    pagination_class = ByPlace

    def get_queryset(self) -> QuerySet[Chart]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        name = query_of(self.request, shapes.ChartQuery)["project"]
        rows = within(
            Chart.objects.select_related("project", "service"),
            access_of(self.request.user).reach(Action.VIEW),
        )
        return rows.filter(project__name=name) if name else rows

    @extend_schema(
        summary="Make a chart",
        request=shapes.ChartNew,
        responses={201: shapes.Chart},
        examples=[
            OpenApiExample("added up from events", _EVENTS, request_only=True),
            OpenApiExample("from a URL", _URL, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        said = body_of(request, shapes.ChartNew)
        project = _project(request, said["project"])
        row = _saved(request, said, project=project, actor=actor_of(request).get_username())
        audit_made(request, "charts", row.pk)
        return Response(_shown(request, row), status=201)


class ChartDetail(APIView):
    """One chart."""

    @extend_schema(summary="One chart", responses=shapes.Chart)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(_shown(request, charts.chart_get(pk)))

    @extend_schema(
        summary="Change a chart",
        description="When what decides on its content changes, it begins anew.",
        request=shapes.ChartIn,
        responses=shapes.Chart,
        examples=[OpenApiExample("as a pie", {"kind": "pie"}, request_only=True)],
    )
    def put(self, request: Request, pk: UUID) -> Response:
        row = _managed(request, pk)
        return Response(
            _shown(request, _saved(request, body_of(request, shapes.ChartIn, shapes.Chart), chart=row))
        )

    @extend_schema(summary="Remove a chart, with what it has added up", request=None, responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        charts.chart_remove(_managed(request, pk))
        return Response(status=204)


class ChartContent(APIView):
    """What a chart shows."""

    @extend_schema(
        summary="What it shows now",
        description="Read from what was added up or fetched in the background.",
        parameters=[shapes.ChartDataQuery],
        responses={200: shapes.ChartData, (200, FORMS["csv"]): OpenApiTypes.BINARY},
        examples=[OpenApiExample("a week", _DATA, response_only=True, media_type="application/json")],
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        asked = query_of(request, shapes.ChartDataQuery)
        [found] = charted([charts.chart_get(pk)], PERIODS[asked["range"]], datetime.now(UTC))
        if asked["format"] == "csv":
            answer = HttpResponse(as_csv(found), content_type=FORMS["csv"])
            answer.headers["Content-Disposition"] = 'attachment; filename="chart.csv"'
            return answer
        return Response(shapes.ChartData(found).data)


class ChartsOrder(APIView):
    """The order on a dashboard."""

    @extend_schema(
        summary="Put a dashboard's charts in order",
        description="Charts that the order does not name come last, as they stood.",
        request=shapes.ChartOrder,
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        said = body_of(request, shapes.ChartOrder)
        charts.charts_order(_project(request, said["project"]), said["charts"])
        return Response(status=204)


class ChartPreview(APIView):
    """A chart tried out."""

    @extend_schema(
        summary="What a chart would show, without saving it",
        description="Of events the latest 2,000; of what is fetched the answer of this moment.",
        request=shapes.ChartTry,
        responses=shapes.ChartData,
        examples=[OpenApiExample("added up from events", _EVENTS, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        said = body_of(request, shapes.ChartTry)
        project = _project(request, said["project"])
        try:
            row = charts.chart_draft(_given(request, said, project), project=project)
        except django_errors.ValidationError as error:
            raise ValidationError(error.message_dict) from None
        found = tried(row, PERIODS[said["range"]], datetime.now(UTC))
        return Response(shapes.ChartData(found).data)


def as_csv(found: Charted) -> bytes:
    """One line for each label, one column for each series."""
    head = [found.drawn.first_column, *(one.name for one in found.drawn.series)]
    lines = [
        [label, *(one.values[n] if n < len(one.values) else None for one in found.drawn.series)]
        for n, label in enumerate(found.drawn.labels)
    ]
    return csv_lines([[safe_cell(cell) for cell in line] for line in (head, *lines)])


def _shown(request: Request, row: Chart) -> Any:
    return shapes.Chart(row, context={"request": request}).data


def _managed(request: Request, pk: UUID) -> Chart:
    row = charts.chart_get(pk)
    _require(request, row.project)
    return row


def _project(request: Request, name: str | None) -> Project | None:
    if name is None:
        _require(request, None)
        return None
    allow(request.user, Action.EDIT, "project", name)
    return project_get(name)


def _require(request: Request, project: Project | None) -> None:
    if project is None:
        require(request.user, Action.ADMINISTER)
    else:
        require(request.user, Action.EDIT, project.pk, project.name)


def _given(request: Request, said: dict[str, Any], project: Project | None) -> dict[str, Any]:
    given = shapes.as_given(said)
    if given.get("service") is not None:
        services = within(Service.objects.all(), access_of(request.user).reach(Action.VIEW))
        if project is not None:
            services = services.filter(project=project)
        given["service"] = services.filter(name=given["service"]).first()
        if given["service"] is None:
            raise ValidationError({"service": ["names no service of this project"]})
    return given


def _saved(
    request: Request, said: dict[str, Any], *, chart: Chart | None = None, project: Project | None = None,
    actor: str = "",
) -> Chart:  # fmt: skip
    owner = chart.project if chart is not None else project
    try:
        return charts.chart_save(
            _given(request, said, owner),
            now=datetime.now(UTC),
            chart=chart,
            project=project,
            actor=actor,
            past=said["past"],
        )
    except django_errors.ValidationError as error:
        raise ValidationError(error.message_dict) from None
