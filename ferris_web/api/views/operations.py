"""The event log as it is, and what was put aside."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.errors import NotFound
from ferris_web import wiring
from ferris_web.api.incoming import body_of, query_of
from ferris_web.api.listed import filters_of, found
from ferris_web.api.pagination import KeysetPagination, limit_of, next_link, whole
from ferris_web.api.serializers import operations as shapes
from ferris_web.api.serializers.events import Accepted
from ferris_web.api.serializers.failures import LetterEdit
from ferris_web.executions import selectors
from ferris_web.executions.listings import DEAD_LETTERS
from ferris_web.executions.models import DeadLetter
from ferris_web.executions.services import dead_letter_delete, dead_letter_redrive


class TopicList(APIView):
    """Topics of the event log."""

    @extend_schema(
        summary="Topics, with offsets and lag",
        responses=shapes.TopicPage,
    )
    def get(self, request: Request) -> Response:
        return whole(shapes.Topic(wiring.event_log().topics(), many=True).data)


class RecordList(APIView):
    """Records of a topic."""

    @extend_schema(
        summary="Records of a topic, oldest first",
        parameters=[shapes.RecordQuery, OpenApiParameter("limit", int)],
        responses=shapes.RecordPage,
    )
    def get(self, request: Request, topic: str) -> Response:
        said = query_of(request, shapes.RecordQuery)
        limit = limit_of(request)
        found = next((known for known in wiring.event_log().topics() if known.name == topic), None)
        place = (
            next((p for p in found.partitions if p.partition == said["partition"]), None) if found else None
        )
        if place is None:
            raise NotFound(f"there is no topic {topic!r} with a partition {said['partition']}")
        records = wiring.event_log().browse(
            topic, partition=place.partition, offset=said.get("offset"), limit=limit
        )
        behind = records[-1].offset + 1 if records else place.end
        return Response(
            {
                "results": shapes.Record(records, many=True).data,
                "next": next_link(request, offset=behind) if behind < place.end else None,
                "previous": None,
            }
        )


@extend_schema_view(
    get=extend_schema(parameters=filters_of(DEAD_LETTERS), summary="Dead letters, newest first"),
)
class DeadLetterList(ListAPIView):
    """Records that could not be handled."""

    queryset = DeadLetter.objects.none()
    serializer_class = shapes.DeadLetterHead
    pagination_class = KeysetPagination

    def get_queryset(self) -> QuerySet[DeadLetter]:
        return found(self.request, DEAD_LETTERS).defer("value")


class DeadLetterDetail(APIView):
    """One dead letter."""

    @extend_schema(summary="One dead letter, with its bytes", responses=shapes.DeadLetter)
    def get(self, request: Request, number: int) -> Response:
        return Response(shapes.DeadLetter(selectors.dead_letter_get(number)).data)

    @extend_schema(summary="Delete a dead letter", request=None, responses={204: None})
    def delete(self, request: Request, number: int) -> Response:
        dead_letter_delete(selectors.dead_letter_get(number))
        return Response(status=204)


class DeadLetterRedrive(APIView):
    """Sends a record on its way again."""

    @extend_schema(
        summary="Send it on its way again",
        description="Its event is appended to the log under its own identity. What was put aside for the length "
        "of its flow begins to count anew. `event` is sent instead when it is given: an edited one keeps `id` and "
        "`source`. 409 when there is no event inside, or the journal has it already.",
        request=LetterEdit,
        responses={202: Accepted},
    )
    def post(self, request: Request, number: int) -> Response:
        letter = selectors.dead_letter_get(number)
        edited = body_of(request, LetterEdit).get("event")
        event = dead_letter_redrive(letter, now=datetime.now(UTC), edited=edited)
        return Response({"id": event.id, "correlation_id": event.flow_id}, status=202)
