"""Projects and their synchronisation."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import Action, require
from ferris_web.api.incoming import actor_of, body_of
from ferris_web.api.pagination import ById, ByName
from ferris_web.api.serializers import projects as shapes
from ferris_web.catalog import selectors
from ferris_web.catalog.models import Project, Service, SyncRun
from ferris_web.catalog.repositories import names_taken, repository_add
from ferris_web.catalog.services import project_remove, project_sync
from ferris_web.catalog.sync_queue import project_sync_request
from ferris_web.executions.moving.project_download import CONTENT_TYPE, project_response
from ferris_web.executions.visibility import allow, scoped


@extend_schema_view(get=extend_schema(summary="Projects by name"))
class ProjectList(ListAPIView):
    """Projects."""

    queryset = Project.objects.none()
    serializer_class = shapes.Project
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[Project]:
        return scoped(selectors.project_list(), self.request.user)

    @extend_schema(
        summary="Add a project, or a repository to one",
        description="Nothing is read from it yet: sync it next. With `own_key` an ssh URL gets a deploy key, whose "
        "public half is in the answer: give it to the host before the first sync. 409 when the project has this "
        "repository already.",
        request=shapes.ProjectIn,
        responses={201: shapes.ProjectAdded},
        examples=[
            OpenApiExample("a folder", {"name": "shop", "source": "/srv/scripts"}, request_only=True),
            OpenApiExample(
                "with a deploy key",
                {
                    "name": "shop",
                    "source": "ssh://git@git.example.org/team/scripts.git",
                    "branch": "main",
                    "folder": "services",
                    "own_key": True,
                },
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        given = body_of(request, shapes.ProjectIn)
        project_editable(request, given["name"])
        added = repository_add(given.pop("name"), **given, actor=actor_of(request), now=datetime.now(UTC))
        taken = shapes.Taken(names_taken(added), many=True).data
        return Response({**_shown(added.project.name), "taken": taken}, status=201)


def _shown(name: str) -> dict[str, object]:
    selectors.project_get(name)
    return shapes.Project(selectors.project_list().get(name=name)).data  # type: ignore[no-any-return]


def project_editable(request: Request, name: str, service: str = "") -> None:
    """PermissionDenied unless the caller may change that project, or make it; and that service, if there is one."""
    project = Project.objects.filter(name=name).first()
    require(request.user, Action.EDIT, project.pk if project else None, name if project else "")
    if service and Service.objects.filter(name=service).exists():
        allow(request.user, Action.EDIT, "service", service)


class ProjectDetail(APIView):
    """One project."""

    @extend_schema(summary="One project", responses=shapes.Project)
    def get(self, request: Request, name: str) -> Response:
        return Response(_shown(name))

    @extend_schema(
        summary="Remove a project",
        description="For owners. Its repositories are forgotten; its services stay with their history and are "
        "triggered no more. A project that never had a service is gone altogether. 409 while it is being synced.",
        request=None,
        responses={200: shapes.ProjectRemoved},
    )
    def delete(self, request: Request, name: str) -> Response:
        project = selectors.project_get(name)
        require(request.user, Action.OWN, project.pk, project.name)
        return Response({"deactivated": project_remove(project, now=datetime.now(UTC))})


class ProjectExport(APIView):
    """A project as a file."""

    @extend_schema(
        summary="Export it as a folder that git takes",
        description="A ZIP, made while it is read and the platform runs: a folder of each service with its files, "
        "manifest.json and config.json as they hold now, `platform.json` with what no file of a service says "
        "(subscriptions, schedules that people made, names of secrets …), and a README of what has to be set by hand "
        "where it goes. No secret is in it, nor what only maintainers see. It is noted in the audit log. An archive "
        "that broke off has no list of members and opens with no program.",
        responses={(200, CONTENT_TYPE): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, name: str) -> StreamingHttpResponse:
        return project_response(request, selectors.project_get(name))


class ProjectSync(APIView):
    """Reads a project's repositories again."""

    @extend_schema(
        summary="Sync it",
        description="Answers when it is done, unless told not to wait. Folders with a mistake are refused with "
        "messages, the others are synced. 409 while another sync of it is under way.",
        request=shapes.SyncIn,
        responses={200: shapes.SyncRuns, 202: shapes.SyncRuns},
    )
    def post(self, request: Request, name: str) -> Response:
        project = selectors.project_get(name)
        if not body_of(request, shapes.SyncIn)["wait"]:
            asked = project_sync_request(project, actor=actor_of(request), now=datetime.now(UTC))
            return Response(shapes.SyncRuns({"runs": asked}).data, status=202)
        runs = project_sync(project, actor=actor_of(request), now=datetime.now(UTC))
        return Response(shapes.SyncRuns({"runs": runs}).data)


class Newest(ById):
    """Newest first."""

    ordering = ("-id",)


@extend_schema_view(get=extend_schema(summary="Its syncs, newest first"))
class SyncList(ListAPIView):
    """Synchronisations of a project."""

    queryset = SyncRun.objects.none()
    serializer_class = shapes.SyncRun
    pagination_class = Newest

    def get_queryset(self) -> QuerySet[SyncRun]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return selectors.sync_run_list(selectors.project_get(self.kwargs["name"]))


class SyncDetail(APIView):
    """One synchronisation."""

    @extend_schema(summary="One sync, and how far it is", responses=shapes.SyncRun)
    def get(self, request: Request, name: str, pk: int) -> Response:
        return Response(shapes.SyncRun(selectors.sync_run_get(selectors.project_get(name), pk)).data)
