"""Event types."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.event_schemas import LEARN
from ferris_web.accounts.permissions import may_manage, reach
from ferris_web.api.incoming import actor_of, body_of, query_of
from ferris_web.api.pagination import ByName
from ferris_web.api.serializers import event_types as shapes
from ferris_web.catalog import event_schemas, selectors
from ferris_web.catalog.models import EventType
from ferris_web.executions.event_types import event_type_seen


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
