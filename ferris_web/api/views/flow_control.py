"""Pause, and go on."""

from __future__ import annotations

from datetime import UTC, datetime

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.api.incoming import actor_of, body_of
from ferris_web.api.serializers import flow_control as shapes
from ferris_web.catalog.selectors import service_get
from ferris_web.executions.services.pauses import service_pause, service_resume


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
