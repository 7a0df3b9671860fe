"""Gatherings: events that wait, or that were merged, joined or left out."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.api.incoming import actor_of, query_of
from ferris_web.api.pagination import MOST, ByOpening
from ferris_web.api.serializers import gatherings as shapes
from ferris_web.executions import gathered
from ferris_web.executions.models import Gathering
from ferris_web.executions.services.gathering_hand import gathering_close, gathering_discard
from ferris_web.executions.visibility import scoped


@extend_schema_view(
    get=extend_schema(parameters=[shapes.GatheringQuery], summary="Gatherings, newest first"),
)
class GatheringList(ListAPIView):
    """What `deduplicate`, `throttle`, `debounce`, `batch` and `join` made of events."""

    queryset = Gathering.objects.none()
    serializer_class = shapes.Gathering
    pagination_class = ByOpening

    def get_queryset(self) -> QuerySet[Gathering]:
        found = gathered.gathering_list(**query_of(self.request, shapes.GatheringQuery))
        return scoped(found, self.request.user)


class GatheringDetail(APIView):
    """One gathering."""

    @extend_schema(
        summary="One gathering",
        description="With the events that it decided about, in their order, and of a join what came and what is "
        "missing.",
        responses=shapes.GatheringDetail,
    )
    def get(self, request: Request, pk: UUID) -> Response:
        return _detail(pk)


class GatheringClose(APIView):
    """Closes a gathering before its time."""

    @extend_schema(
        summary="Close it now",
        description="It runs with what has come, complete or not; an absence is told at once, a throttle lets through "
        "what it holds back, the window of a deduplication ends. 409 when it is not open.",
        request=None,
        responses=shapes.GatheringDetail,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        gathering_close(pk, actor=actor_of(request).get_username(), now=datetime.now(UTC))
        return _detail(pk)


class GatheringDiscard(APIView):
    """Closes a gathering without a run."""

    @extend_schema(
        summary="Discard it",
        description="Nothing runs for the events that wait in it, and each says who left it out. 409 when it is not "
        "open.",
        request=None,
        responses=shapes.Discarded,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        count = gathering_discard(pk, actor=actor_of(request).get_username(), now=datetime.now(UTC))
        return Response({"events": count})


def _detail(pk: UUID) -> Response:
    row = gathered.gathering_get(pk)
    row.parts = gathered.join_parts(row)
    row.found = list(gathered.gathering_members(row)[:MOST])
    return Response(shapes.GatheringDetail(row).data)
