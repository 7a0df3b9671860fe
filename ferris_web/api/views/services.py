"""Services: lists, one, running it, its saved runs."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.api.incoming import actor_of, body_of, parameters_of
from ferris_web.api.listed import filters_of, found
from ferris_web.api.pagination import ByName
from ferris_web.api.serializers import runs as run_shapes
from ferris_web.api.serializers import services as shapes
from ferris_web.api.views.executions import requested
from ferris_web.api.views.projects import project_editable
from ferris_web.catalog import selectors
from ferris_web.catalog.editing import service_remove
from ferris_web.catalog.models import Service
from ferris_web.catalog.saved_runs import saved_run_get, saved_run_list, saved_run_remove, saved_run_set
from ferris_web.catalog.services import project_named, service_upload
from ferris_web.executions.listings import SERVICES
from ferris_web.executions.services import run_request


@extend_schema_view(
    get=extend_schema(parameters=filters_of(SERVICES), summary="Services by name"),
)
class ServiceList(ListAPIView):
    """Services."""

    queryset = Service.objects.none()
    serializer_class = shapes.ServiceHead
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[Service]:
        return selectors.services_shown(found(self.request, SERVICES))

    @extend_schema(
        summary="Make a service of files, or its next version",
        description="The same rules as for a folder that is synced; a mistake is named by file and key, and then "
        "nothing is changed. 409 when a repository holds the service.",
        request=shapes.ServiceIn,
        responses={200: shapes.ServiceMade, 201: shapes.ServiceMade},
    )
    def post(self, request: Request) -> Response:
        given = body_of(request, shapes.ServiceIn)
        name = given["name"]
        project_editable(request, given["project"], name)
        outcome = service_upload(
            project_named(given["project"]),
            name,
            given["files"],
            author=actor_of(request).get_username(),
            now=datetime.now(UTC),
        )
        if outcome.refused:
            raise ValidationError({"files": mistakes(outcome.messages)})
        made = {**shapes.Service(selectors.service_get(name)).data, "messages": outcome.messages}
        return Response(made, status=201 if outcome.added else 200)


def mistakes(messages: list[dict[str, str]]) -> dict[str, list[str]]:
    """Texts by file, of what kept the files from being a service."""
    found: dict[str, list[str]] = {}
    for said in messages:
        if said["level"] == "error":
            found.setdefault(said["file"] or "name", []).append(f"{said['key']} {said['text']}".strip())
    return found


class ServiceDetail(APIView):
    """One service."""

    @extend_schema(summary="One service", responses=shapes.Service)
    def get(self, request: Request, name: str) -> Response:
        return Response(shapes.Service(selectors.service_get(name)).data)

    @extend_schema(
        summary="Remove a service made without git",
        description="It is kept with its history, and triggered no more; restoring a version brings it back. 409 for "
        "a service that a repository holds.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, name: str) -> Response:
        service_remove(selectors.service_get(name), now=datetime.now(UTC))
        return Response(status=204)


class ServiceRun(APIView):
    """Runs a service by hand."""

    @extend_schema(
        summary="Run it",
        description="409 when it may not be run by hand, or is inactive. With `saved`, the parameters of a saved run; "
        "those that are given beside it win.",
        request=run_shapes.RunParameters,
        responses={202: run_shapes.Requested},
    )
    def post(self, request: Request, name: str) -> Response:
        service = selectors.service_get(name)
        given = body_of(request, run_shapes.RunParameters)
        kept = saved_run_get(service, given["saved"]).values if given["saved"] else {}
        parameters = parameters_of(service, {**kept, **given["parameters"]})
        actor, priority = actor_of(request).get_username(), given["priority"]
        asked = run_request(service, parameters, actor=actor, now=datetime.now(UTC), priority=priority)
        return requested(request, asked)


class SavedRunList(APIView):
    """Runs that are kept under a name."""

    @extend_schema(summary="Saved runs of a service", responses=shapes.SavedRun(many=True))
    def get(self, request: Request, name: str) -> Response:
        rows = saved_run_list(selectors.service_get(name))
        return Response(shapes.SavedRun(rows, many=True).data)


class SavedRunDetail(APIView):
    """One of them."""

    @extend_schema(summary="One saved run", responses=shapes.SavedRun)
    def get(self, request: Request, name: str, saved: str) -> Response:
        return Response(shapes.SavedRun(saved_run_get(selectors.service_get(name), saved)).data)

    @extend_schema(
        summary="Keep a run under this name",
        description="In place of what was kept under it. The parameters must be valid, as for a run.",
        request=run_shapes.RetryParameters,
        responses=shapes.SavedRun,
    )
    def put(self, request: Request, name: str, saved: str) -> Response:
        service = selectors.service_get(name)
        given = body_of(request, run_shapes.RetryParameters, shapes.SavedRun).get("parameters") or {}
        values = parameters_of(service, given)
        row = saved_run_set(
            service, saved, values, actor=actor_of(request).get_username(), now=datetime.now(UTC)
        )
        return Response(shapes.SavedRun(row).data)

    @extend_schema(summary="Keep it no longer", responses={204: None})
    def delete(self, request: Request, name: str, saved: str) -> Response:
        saved_run_remove(selectors.service_get(name), saved)
        return Response(status=204)
