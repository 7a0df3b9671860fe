"""Replays of past events, and the missed runs of schedules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.replaying import Selection, SelectionError
from ferris_web.accounts.permissions import Action, require
from ferris_web.api.incoming import actor_of, body_of, query_of
from ferris_web.api.pagination import KeysetPagination
from ferris_web.api.serializers import replays as shapes
from ferris_web.catalog.selectors import schedule_get, service_get
from ferris_web.executions import selectors
from ferris_web.executions.models import Replay
from ferris_web.executions.services import replays
from ferris_web.executions.services.schedules import schedule_backfill, schedule_gaps, window_of
from ferris_web.executions.visibility import allow, scoped

_SECONDS = 15.0  # within the patience of clients and proxies


def draft_of(request: Request, said: dict[str, Any], now: datetime) -> Replay:
    """The replay that the body asks for; ValidationError names the field at fault."""
    service = service_get(said["service"]) if said["service"] else None
    if service is None:
        require(request.user, Action.RUN)  # it goes to all that listen
    else:
        allow(request.user, Action.RUN, "service", service.name)
    selection = Selection(
        event_type=said["event_type"],
        filter=said["filter"],
        cesql=said["cesql"] or None,
        flow_id=said["flow_id"],
        derived=service is not None if said["derived"] is None else said["derived"],
    )
    try:
        return replays.replay_draft(
            selection,
            service=service,
            since=said["since"],
            until=said.get("until") or now,
            rate=said["rate"],
            now=now,
        )
    except SelectionError as error:
        raise ValidationError({error.name: error.problem}) from None


@extend_schema_view(
    get=extend_schema(parameters=[shapes.ReplayQuery], summary="Replays, newest first"),
)
class ReplayList(ListAPIView):
    """Replays."""

    queryset = Replay.objects.none()
    serializer_class = shapes.Replay
    pagination_class = KeysetPagination

    def get_queryset(self) -> QuerySet[Replay]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return scoped(selectors.replay_list(**query_of(self.request, shapes.ReplayQuery)), self.request.user)

    @extend_schema(
        summary="Send past events again",
        description="Each as an event of its own, in a flow of its own, marked with `ferrisreplay`, in the order in "
        "which they were taken in. Manual runs, retries, due times and events of other replays are not sent again.",
        request=shapes.ReplayStart,
        responses={201: shapes.Replay},
    )
    def post(self, request: Request) -> Response:
        said = body_of(request, shapes.ReplayStart)
        draft = draft_of(request, said, datetime.now(UTC))
        found = replays.replay_preview(draft, most_seconds=_SECONDS) if said["count"] else None
        expected = found.events if found is not None and found.complete else None
        begun = replays.replay_begin(draft, actor=actor_of(request).get_username(), expected=expected)
        return Response(shapes.Replay(begun).data, status=201)


class ReplayPreview(APIView):
    """Counts, and begins nothing."""

    @extend_schema(
        summary="Count what a replay would send",
        request=shapes.ReplayRequest,
        responses=shapes.ReplayPreview,
    )
    def post(self, request: Request) -> Response:
        said = body_of(request, shapes.ReplayRequest)
        found = replays.replay_preview(draft_of(request, said, datetime.now(UTC)), most_seconds=_SECONDS)
        return Response(shapes.ReplayPreview(found).data)


class ReplayDetail(APIView):
    """One replay."""

    @extend_schema(summary="One replay, and what came of it", responses=shapes.ReplayDetail)
    def get(self, request: Request, pk: UUID) -> Response:
        row = replays.replay_get(pk)
        return Response(
            shapes.Replay(row).data | {"outcome": shapes.Outcome(selectors.replay_outcome(row)).data}
        )


class ReplayStop(APIView):
    """Stops one."""

    @extend_schema(
        summary="Send no more of it",
        description="What is on the log already runs. 409 when it is not running.",
        request=None,
        responses=shapes.Replay,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        row = replays.replay_stop(replays.replay_get(pk), now=datetime.now(UTC))
        return Response(shapes.Replay(row).data)


class ReplayResume(APIView):
    """Lets one go on."""

    @extend_schema(
        summary="Go on from where it was stopped",
        description="409 when it was not stopped.",
        request=None,
        responses=shapes.Replay,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        return Response(shapes.Replay(replays.replay_resume(replays.replay_get(pk))).data)


class ScheduleGaps(APIView):
    """What a schedule missed."""

    @extend_schema(
        summary="Due times that made no run",
        parameters=[shapes.GapQuery],
        responses=shapes.Gaps,
    )
    def get(self, request: Request, pk: UUID) -> Response:
        row, said = schedule_get(pk), query_of(request, shapes.GapQuery)
        since, until = window_of(row, said.get("since"), said.get("until"), now=datetime.now(UTC))
        return Response(shapes.Gaps(schedule_gaps(row, since=since, until=until)).data)


class ScheduleBackfill(APIView):
    """Makes up for what a schedule missed."""

    @extend_schema(
        summary="Run it for due times that it missed",
        description="A time that ran already is not run again. 409 for a time at which it was not due.",
        request=shapes.BackfillRequest,
        responses={202: shapes.Backfilled},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        said = body_of(request, shapes.BackfillRequest)
        made = schedule_backfill(schedule_get(pk), said["times"], now=datetime.now(UTC))
        return Response(shapes.Backfilled({"results": made}).data, status=202)
