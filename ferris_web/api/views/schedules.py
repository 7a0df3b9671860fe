"""When services run by the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import Action
from ferris_web.api.incoming import body_of, query_of
from ferris_web.api.pagination import ById
from ferris_web.api.serializers import schedules as shapes
from ferris_web.catalog import selectors
from ferris_web.catalog.models import Schedule
from ferris_web.catalog.services import schedule_add, schedule_remove, schedule_switch
from ferris_web.executions.visibility import allow, scoped


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
        summary="Pause it, or let it go on",
        request=shapes.ScheduleChange,
        responses={200: shapes.Schedule},
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
