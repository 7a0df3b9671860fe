"""The system map: services and event types, declared against seen."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import reach
from ferris_web.api.incoming import query_of
from ferris_web.api.serializers import objects as shapes
from ferris_web.executions.system_map import lately


class SystemMap(APIView):
    """What binds services."""

    @extend_schema(
        operation_id="map",
        summary="Which service sends what, and what triggers it",
        description="As manifests declare it and as it was seen among the latest executions and events; at most half a "
        "minute old.",
        parameters=[shapes.MapQuery],
        responses=shapes.SystemMap,
    )
    def get(self, request: Request) -> Response:
        found = lately(query_of(request, shapes.MapQuery).get("project") or "", reach(request.user))
        services = [{"name": name, "project": project} for name, project in found.projects.items()]
        return Response(shapes.SystemMap({"services": services, "bonds": found.bonds}).data)
