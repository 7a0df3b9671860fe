"""Why an event made services run, or not."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import Action, reach
from ferris_web.api.incoming import query_of
from ferris_web.api.pagination import limit_of, next_link
from ferris_web.api.serializers import why as shapes
from ferris_web.catalog.models import Service
from ferris_web.catalog.selectors import service_by_name_or_id
from ferris_web.executions import selectors, why
from ferris_web.executions.visibility import allow
from ferris_web.keyset import packed, unpacked

_ANSWER = PolymorphicProxySerializer(
    component_name="WhyAnswer",
    serializers=[shapes.Verdict, shapes.VerdictPage],
    resource_type_field_name=None,
)


class EventWhy(APIView):
    """One event, and what became of it at services."""

    @extend_schema(
        summary="Why services ran for it, or not",
        description="With `service`, the verdict on that service. Without it a page of verdicts: the services that "
        "ran, then those with a trigger for the event's type (by name), and with `all=true` all others; `q` looks "
        "through all of them by name. Computed from the event and the triggers that each service had when the event "
        "was routed; `today` says what they would say now.",
        parameters=[shapes.WhyQuery, OpenApiParameter("limit", int)],
        responses=_ANSWER,
    )
    def get(self, request: Request, event: str) -> Response:
        said = query_of(request, shapes.WhyQuery)
        row = selectors.event_get(event)
        if said["service"]:
            found = why.verdict_of(row, _service(request, said["service"]))
            return Response(shapes.Verdict(found).data)
        stages = why.STAGES if said["all"] or said["q"] else why.STAGES[:2]
        page = why.verdict_page(
            row,
            query=said["q"],
            stages=stages,
            after=_place(said["cursor"], stages),
            limit=limit_of(request),
            projects=reach(request.user),
        )
        link = next_link(request, cursor=_cursor(page.following)) if page.following else None
        return Response(
            {"results": shapes.Verdict(page.verdicts, many=True).data, "next": link, "previous": None}
        )


def _service(request: Request, wanted: str) -> Service:
    found = service_by_name_or_id(wanted)
    allow(request.user, Action.VIEW, "service", found.name)
    return found


def _cursor(place: why.Place) -> str:
    return packed(place)


def _place(cursor: str, stages: tuple[str, ...]) -> why.Place | None:
    if not cursor:
        return None
    try:
        stage, behind = unpacked(cursor)
        if (
            stage not in stages
            or not isinstance(behind, str)
            or (stage == why.RAN and not behind.isdecimal())
        ):
            raise ValueError(cursor)
    except (ValueError, TypeError):
        raise ValidationError({"cursor": "is none of ours; take it from `next`"}) from None
    return stage, behind
