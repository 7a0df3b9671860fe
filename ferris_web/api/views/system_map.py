"""The system map: services and event types, declared against seen."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web import keyset
from ferris_web.accounts.permissions import reach
from ferris_web.api.incoming import query_of
from ferris_web.api.pagination import MOST, limit_of, next_link
from ferris_web.api.serializers import objects as shapes
from ferris_web.executions import system_map
from ferris_web.executions.system_map import Bond


class SystemMap(APIView):
    """What binds services."""

    @extend_schema(
        operation_id="map",
        summary="Which service sends what, and what triggers it",
        description="As manifests declare it and as it was seen among the latest executions and events; some seconds "
        "behind the catalog, and a minute behind what happens. A page has services in the order of their names, and "
        "all bonds of each.",
        parameters=[shapes.MapQuery],
        responses=shapes.SystemMap,
    )
    def get(self, request: Request) -> Response:
        project, reached = query_of(request, shapes.MapQuery).get("project") or "", reach(request.user)
        rows = system_map.services(project, reached).select_related("project").only("name", "project__name")
        try:
            page = keyset.cut(
                rows, ("name",), request.query_params.get("cursor", ""), limit_of(request, usual=MOST)
            )
        except keyset.WrongCursor:
            raise ValidationError({"cursor": "is none of ours; take it from `next` or `previous`"}) from None
        found = system_map.bindings(project, reached).filter(service__in=[row.pk for row in page.rows])
        shown = {
            "services": [{"name": row.name, "project": row.project.name} for row in page.rows],
            "bonds": [Bond(*row) for row in system_map.bonds(found)],
            "next": next_link(request, cursor=page.after) if page.after else None,
            "previous": next_link(request, cursor=page.before) if page.before else None,
        }
        return Response(shapes.SystemMap(shown).data)
