"""Event maps: everybody sees and tries them, administrators make and remove them."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.event_maps import EventMap, MapError, event_map
from ferris_web.accounts.permissions import may_manage
from ferris_web.api.incoming import actor_of, body_of
from ferris_web.api.pagination import ById
from ferris_web.api.serializers import event_maps as shapes
from ferris_web.catalog import event_maps
from ferris_web.catalog.models import EventMap as Row
from ferris_web.executions.auditing import audit_made
from ferris_web.executions.event_types import event_map_trials


def _given(request: Request) -> EventMap:
    said = body_of(request, shapes.EventMapIn)
    try:
        return event_map(said["map"], said["strategy"], said["constants"], said["templates"])
    except MapError as error:
        raise ValidationError({error.name: error.problem}) from None


def _check(request: Request) -> None:
    if not may_manage(actor_of(request), Row):
        raise PermissionDenied("Event maps are for administrators of the platform to make and remove.")


@extend_schema_view(get=extend_schema(summary="Event maps"))
class EventMapList(ListAPIView):
    """Event maps."""

    queryset = Row.objects.all()
    serializer_class = shapes.EventMap
    pagination_class = ById

    def get_queryset(self) -> QuerySet[Row]:
        return Row.objects.all()

    @extend_schema(
        summary="Make an event map",
        description="For administrators of the platform. It holds for events that are routed from now on.",
        request=shapes.EventMapIn,
        responses={201: shapes.EventMap},
    )
    def post(self, request: Request) -> Response:
        _check(request)
        row = event_maps.event_map_add(_given(request), actor=actor_of(request).username)
        audit_made(request, "event-maps", row.pk)
        return Response(shapes.EventMap(row).data, status=201)


class EventMapTry(APIView):
    """A map over past events."""

    @extend_schema(
        summary="What a map would make of past events",
        request=shapes.EventMapIn,
        responses=shapes.EventMapTrials,
    )
    def post(self, request: Request) -> Response:
        return Response(shapes.EventMapTrials({"events": event_map_trials(_given(request))}).data)


class EventMapDetail(APIView):
    """One event map."""

    @extend_schema(summary="One event map", responses=shapes.EventMap)
    def get(self, request: Request, number: int) -> Response:
        return Response(shapes.EventMap(event_maps.event_map_get(number)).data)

    @extend_schema(
        summary="Remove it",
        description="For administrators of the platform.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, number: int) -> Response:
        _check(request)
        event_maps.event_map_remove(event_maps.event_map_get(number))
        return Response(status=204)
