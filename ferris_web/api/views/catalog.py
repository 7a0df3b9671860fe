"""Event types and schedules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.event_schemas import LEARN
from ferris_web.accounts.permissions import Action, may_manage, reach
from ferris_web.api.incoming import actor_of, body_of, query_of
from ferris_web.api.pagination import ById, ByName
from ferris_web.api.serializers import catalog as shapes
from ferris_web.catalog import event_schemas, selectors
from ferris_web.catalog.models import EventType, Schedule
from ferris_web.catalog.services import schedule_add, schedule_remove, schedule_switch
from ferris_web.executions.event_types import event_type_seen
from ferris_web.executions.visibility import allow, scoped


@extend_schema_view(
    get=extend_schema(parameters=[shapes.EventTypeQuery], summary="Event types by name"),
)
class EventTypeList(ListAPIView):
    """Event types."""

    queryset = EventType.objects.none()
    serializer_class = shapes.EventType
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[EventType]:
        return selectors.event_type_list(**query_of(self.request, shapes.EventTypeQuery))


class EventTypeDetail(APIView):
    """One event type."""

    @extend_schema(
        summary="One event type: its schema, versions, producers and consumers",
        responses=shapes.EventTypeDetail,
    )
    def get(self, request: Request, name: str) -> Response:
        return self._shown(request, selectors.event_type_get(name))

    @extend_schema(
        summary="Enforce its schema, or let it be learned anew",
        description="For administrators of the platform.",
        request=shapes.EventTypeChange,
        responses=shapes.EventTypeDetail,
    )
    def patch(self, request: Request, name: str) -> Response:
        if not may_manage(actor_of(request), EventType):
            raise PermissionDenied(
                "Schemas of event types are for administrators of the platform to decide about."
            )
        row = selectors.event_type_get(name)
        said = body_of(request, shapes.EventTypeChange)
        if not said:
            raise ValidationError({"strict": "expected strict or learn_anew"})
        if "strict" in said:
            event_schemas.schema_enforce(row, said["strict"])
        if said.get("learn_anew"):
            event_schemas.schema_learn_anew(row, datetime.now(UTC))
        return self._shown(request, row)

    def _shown(self, request: Request, row: EventType) -> Response:
        name, projects = row.name, reach(request.user)
        if projects is not None:
            row.example = None  # what an event holds is for those who see the event
        versions = selectors.event_type_versions(row)
        sends, listens = selectors.event_type_declared(name, projects)
        seen = event_type_seen(name, projects)
        said = {
            **shapes.EventType(row).data,
            "schema_number": row.schema_number,
            "strict": row.strict,
            "learning": row.schema_learned < LEARN,
            "current": next((v.schema for v in versions if v.number == row.schema_number), None),
            "versions": versions,
            "producers": {"declared": sends, "observed": seen.producers},
            "consumers": {"declared": listens, "observed": seen.consumers},
            "sources": seen.sources,
        }
        for moment in ("first_seen_at", "last_seen_at"):
            said[moment] = getattr(row, moment)
        return Response(shapes.EventTypeDetail(said).data)


@extend_schema_view(
    get=extend_schema(parameters=[shapes.ScheduleQuery], summary="Schedules"),
)
class ScheduleList(ListAPIView):
    """Schedules."""

    queryset = Schedule.objects.none()
    serializer_class = shapes.Schedule
    pagination_class = ById

    def get_queryset(self) -> QuerySet[Schedule]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        said = query_of(self.request, shapes.ScheduleQuery)
        service = selectors.service_get(said["service"]) if said["service"] else None
        found = selectors.schedule_list(service=service, active=said["active"])
        return scoped(found, self.request.user)

    @extend_schema(
        summary="Let the clock run a service",
        request=shapes.ScheduleIn,
        responses={201: shapes.Schedule},
    )
    def post(self, request: Request) -> Response:
        given = body_of(request, shapes.ScheduleIn)
        allow(request.user, Action.EDIT, "service", given["service"])
        made = schedule_add(
            selectors.service_get(given["service"]),
            origin=Schedule.Origin.PERSON,
            cron=given["schedule"],
            timezone=given["timezone"],
            name=given["name"],
            parameters=object_of(given["parameters"]),
            now=datetime.now(UTC),
        )
        return Response(shapes.Schedule(made).data, status=201)

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, DjangoValidationError) and hasattr(exc, "error_dict"):
            # The field has another name here than in the table.
            said = exc.message_dict
            exc = ValidationError({("schedule" if name == "cron" else name): said[name] for name in said})
        return super().handle_exception(exc)


def object_of(value: Any) -> dict[str, Any]:
    """Parameters as an object; ValidationError for any other value."""
    if not isinstance(value, dict):
        raise ValidationError({"parameters": "expected an object"})
    return value


class ScheduleDetail(APIView):
    """One schedule."""

    @extend_schema(summary="One schedule", responses=shapes.Schedule)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(shapes.Schedule(selectors.schedule_get(pk)).data)

    @extend_schema(
        summary="Pause it, or let it go on", request=shapes.ScheduleChange, responses={200: shapes.Schedule}
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        row = selectors.schedule_get(pk)
        schedule_switch(row, body_of(request, shapes.ScheduleChange)["active"], now=datetime.now(UTC))
        return Response(shapes.Schedule(row).data)

    @extend_schema(
        summary="Delete it",
        description="409 for one of a manifest: pause it.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        schedule_remove(selectors.schedule_get(pk))
        return Response(status=204)
