"""Events: the way in, and the journal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris import events
from ferris_web.api import metrics, problems, streams
from ferris_web.api.following import EventStreamRenderer, follows
from ferris_web.api.listed import filters_of, found
from ferris_web.api.pagination import MOST, ByReceived
from ferris_web.api.serializers import events as shapes
from ferris_web.executions import selectors
from ferris_web.executions.listings import EVENTS
from ferris_web.executions.models import Event
from ferris_web.executions.services import events_accept
from ferris_web.executions.visibility import scoped

_EXAMPLE = {
    "specversion": "1.0",
    "id": "4711",
    "source": "/shop",
    "type": "shop.order.placed",
    "subject": "order/4711",
    "data": {"total": 12.5},
}
_BATCH = [_EXAMPLE, {**_EXAMPLE, "id": "4712", "subject": "order/4712", "data": {"total": 80}}]


class AnyBody(BaseParser):
    """Takes every content type and reads nothing: binary mode may bring any, a form too."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, context: Any = None) -> dict[str, Any]:
        return {}


@extend_schema_view(
    get=extend_schema(
        parameters=[*filters_of(EVENTS), *streams.PARAMETERS],
        summary="Events, newest first",
        description=streams.TOLD.format(
            "Each event that fits the filters, once it is in the journal; again when it came again (its `copies`)."
        ),
        responses=streams.and_stream(shapes.Event(many=True)),
    ),
)
class EventList(ListAPIView):
    """Events of the journal, and the way in for new ones."""

    queryset = Event.objects.none()
    serializer_class = shapes.Event
    pagination_class = ByReceived
    parser_classes = [AnyBody]
    renderer_classes = [JSONRenderer, EventStreamRenderer]

    def get(self, request: Request) -> HttpResponseBase:
        if follows(request):
            return streams.list_stream(request, EVENTS, shapes.Event)
        return super().get(request)

    def get_queryset(self) -> QuerySet[Event]:
        return found(self.request, EVENTS)

    @extend_schema(
        summary="Send an event, or a batch",
        description="CloudEvents 1.0 in structured, batch or binary mode. 202 once it is on disk. An event is "
        "identified by `source` and `id`: sent again, it triggers nothing again. A batch is accepted whole or "
        "not at all. Without the extension `correlationid` it begins a flow of its own.",
        request={
            events.STRUCTURED: OpenApiTypes.OBJECT,
            events.BATCH: {"type": "array", "items": {"type": "object"}},
            "*/*": OpenApiTypes.BINARY,
        },
        responses={202: shapes.ACCEPTED},
        examples=[
            OpenApiExample("structured", _EXAMPLE, request_only=True, media_type=events.STRUCTURED),
            OpenApiExample("batch", _BATCH, request_only=True, media_type=events.BATCH),
        ],
    )
    def post(self, request: Request) -> HttpResponseBase:
        now = datetime.now(UTC)
        batch = request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == events.BATCH
        limit = events.MAX_BATCH_BYTES if batch else events.MAX_EVENT_BYTES
        body = request._request.body
        if len(body) > limit:
            what = "a batch" if batch else "an event"
            return problems.problem(
                "too-large", f"The body has {len(body)} bytes; {what} has at most {limit}."
            )
        accepted = events_accept(events.parse_http(request.headers, body, now=now), now=now)
        metrics.EVENTS_ACCEPTED.inc(len(accepted))
        answers = [{"id": event.id, "correlation_id": event.flow_id} for event in accepted]
        return Response({"events": answers} if batch else answers[0], status=202)


class EventDetail(APIView):
    """One event."""

    @extend_schema(
        summary="One event",
        description="By its key, or by its CloudEvents id (the latest one, should several sources use it).",
        responses=shapes.EventDetail,
    )
    def get(self, request: Request, event: str) -> Response:
        row = selectors.event_get(event)
        caused = selectors.with_names(scoped(row.executions.all(), request.user))
        row.caused = list(caused.order_by("sequence")[:MOST])
        return Response(shapes.EventDetail(row).data)
