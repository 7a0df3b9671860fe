"""Flows: all that grew out of one event."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import reach
from ferris_web.api import streams
from ferris_web.api.following import EventStreamRenderer, follows
from ferris_web.api.listed import filters_of, found
from ferris_web.api.pagination import ByStart
from ferris_web.api.serializers import executions as execution_shapes
from ferris_web.api.serializers import flows as shapes
from ferris_web.executions import overview, selectors
from ferris_web.executions.listings import FLOWS
from ferris_web.executions.models import Flow


@extend_schema_view(
    get=extend_schema(parameters=filters_of(FLOWS), summary="Flows, newest first"),
)
class FlowList(ListAPIView):
    """Flows."""

    queryset = Flow.objects.none()
    serializer_class = shapes.FlowHead
    pagination_class = ByStart

    def get_queryset(self) -> QuerySet[Flow]:
        return found(self.request, FLOWS)

    def paginate_queryset(self, queryset: QuerySet[Flow]) -> list[Any]:
        page: list[Any] = super().paginate_queryset(queryset) or []
        counts = overview.flow_counts(page, reach(self.request.user))
        for flow in page:
            flow.statuses = counts[flow.pk]
        return page


class FlowDetail(APIView):
    """One flow."""

    renderer_classes = [JSONRenderer, EventStreamRenderer]

    @extend_schema(
        summary="One flow as a graph",
        description="By the flow's id, or by the correlation id of one of its executions. Nodes are its events "
        "and executions. A flow whose first event still waits for the router has no nodes yet. "
        + streams.TOLD.format(
            "Its executions so far (the newest 500), then each whenever it has changed; the event `end` once the flow "
            "has settled. "
        ).replace("what this address shows of it without `follow`", "an execution as in their list"),
        parameters=streams.PARAMETERS,
        responses=streams.and_stream(shapes.Flow),
    )
    def get(self, request: Request, flow_id: str) -> HttpResponseBase:
        if follows(request):
            flow = selectors.flow_name(flow_id)
            return streams.flow_stream(request, flow, execution_shapes.Execution, selectors.with_names)
        return Response(shapes.Flow(selectors.flow_graph(flow_id, reach(request.user))).data)
