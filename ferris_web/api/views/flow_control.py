"""Pause, and go on: services, lanes, workers."""

from __future__ import annotations

from datetime import UTC, datetime

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import reach
from ferris_web.api.incoming import actor_of, body_of
from ferris_web.api.serializers import flow_control as shapes
from ferris_web.catalog.selectors import service_get
from ferris_web.executions.crews import lane_list, worker_get, worker_list
from ferris_web.executions.services.pauses import service_pause, service_resume
from ferris_web.executions.services.urgency import lane_pause, lane_resume
from ferris_web.executions.services.workers import worker_drain, worker_resume


class ServicePause(APIView):
    """Holds a service's executions back."""

    @extend_schema(
        summary="Pause it",
        description="Nothing of it starts from now on; what runs runs on, what is triggered waits and keeps its "
        "place. 409 when it is paused already.",
        request=None,
        responses=shapes.Paused,
    )
    def post(self, request: Request, name: str) -> Response:
        actor = actor_of(request).get_username()
        count = service_pause(service_get(name), actor=actor, now=datetime.now(UTC))
        return Response({"paused": True, "executions": count})


class ServiceResume(APIView):
    """Lets a paused service go on."""

    @extend_schema(
        summary="Let it go on",
        description="With what has waited, or without it. 409 when it is not paused.",
        request=shapes.Resume,
        responses=shapes.Paused,
    )
    def post(self, request: Request, name: str) -> Response:
        skip = body_of(request, shapes.Resume)["waiting"] == "skip"
        actor = actor_of(request).get_username()
        count = service_resume(service_get(name), skip=skip, actor=actor, now=datetime.now(UTC))
        return Response({"paused": False, "executions": count})


class LaneList(APIView):
    """Lanes."""

    @extend_schema(summary="Lanes, the most urgent first", responses=shapes.Lanes)
    def get(self, request: Request) -> Response:
        return Response(shapes.Lanes({"results": lane_list()}).data)


class LanePause(APIView):
    """Holds a lane back."""

    @extend_schema(
        summary="Pause it",
        description="Nothing starts in it from now on; what runs runs on. 409 when it is paused already.",
        request=None,
        responses=shapes.Lanes,
    )
    def post(self, request: Request, lane: str) -> Response:
        lane_pause(lane, actor=actor_of(request).get_username(), now=datetime.now(UTC))
        return Response(shapes.Lanes({"results": lane_list()}).data)


class LaneResume(APIView):
    """Lets a lane go on."""

    @extend_schema(
        summary="Let it go on",
        description="With all that has waited. 409 when it is not paused.",
        request=None,
        responses=shapes.Lanes,
    )
    def post(self, request: Request, lane: str) -> Response:
        lane_resume(lane, now=datetime.now(UTC))
        return Response(shapes.Lanes({"results": lane_list()}).data)


class WorkerList(APIView):
    """Workers."""

    @extend_schema(summary="Workers by name", responses=shapes.Workers)
    def get(self, request: Request) -> Response:
        return Response(shapes.Workers({"results": worker_list(datetime.now(UTC), reach(request.user))}).data)


class WorkerDrain(APIView):
    """Empties a worker."""

    @extend_schema(
        summary="Drain it",
        description="It finishes what it runs and takes nothing new. 409 when it drains already.",
        request=None,
        responses=shapes.Worker,
    )
    def post(self, request: Request, name: str) -> Response:
        now = datetime.now(UTC)
        worker_drain(name, actor=actor_of(request).get_username(), now=now)
        return Response(shapes.Worker(worker_get(name, now)).data)


class WorkerResume(APIView):
    """Has a worker take executions again."""

    @extend_schema(
        summary="Have it take executions again",
        description="From its next heartbeat on, 20 s later at most. 409 when it does not drain.",
        request=None,
        responses=shapes.Worker,
    )
    def post(self, request: Request, name: str) -> Response:
        worker_resume(name)
        return Response(shapes.Worker(worker_get(name, datetime.now(UTC))).data)
