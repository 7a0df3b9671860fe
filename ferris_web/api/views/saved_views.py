"""Saved views of the lists and of the search."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.errors import NotFound
from ferris_web.api.incoming import actor_of, body_of, query_of
from ferris_web.api.pagination import KeysetPagination
from ferris_web.api.serializers.fields import Time
from ferris_web.catalog.models import Project
from ferris_web.executions.models import SavedView as Row
from ferris_web.executions.services import saved_views
from ferris_web.executions.visibility import visible_projects

_LISTS = sorted(saved_views.VIEWED)


class ViewQuery(serializers.Serializer):
    """Of which list."""

    list = serializers.ChoiceField(_LISTS, required=False)


class SavedView(serializers.Serializer):
    """Filters under a name. `project`: whose members see it; null: its owner alone."""

    id = serializers.UUIDField()
    list = serializers.CharField(source="listing")
    name = serializers.CharField()
    query = serializers.CharField(help_text="The filters as a query string, by the names of the console.")
    owner = serializers.CharField(source="owner.username")
    project = serializers.CharField(source="project.name", default=None, allow_null=True)
    saved_at = Time()


class SavedViewIn(serializers.Serializer):
    """A view to keep; one of that name is replaced."""

    list = serializers.ChoiceField(_LISTS)
    name = serializers.CharField(max_length=saved_views.LONGEST_NAME)
    query = serializers.CharField(max_length=saved_views.LONGEST_QUERY, allow_blank=True)
    project = serializers.CharField(required=False, allow_null=True, default=None)


class ByName(KeysetPagination):
    """By name."""

    ordering = ("name", "id")


@extend_schema_view(
    get=extend_schema(parameters=[ViewQuery], summary="Saved views: one's own, and those of one's projects")
)
class SavedViewList(ListAPIView):
    """Saved views."""

    queryset = Row.objects.none()
    serializer_class = SavedView
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[Row]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return saved_views.view_list(self.request.user, query_of(self.request, ViewQuery).get("list", ""))

    @extend_schema(
        summary="Save a view",
        description="Sharing it with a project takes the role operator there.",
        request=SavedViewIn,
        responses={201: SavedView},
    )
    def post(self, request: Request) -> Response:
        said = body_of(request, SavedViewIn)
        project: Project | None = None
        if said["project"]:
            project = visible_projects(request.user).filter(name=said["project"]).first()
            if project is None:
                raise NotFound(f"there is no project {said['project'][:200]!r}")
        row = saved_views.view_save(
            actor_of(request),
            said["list"],
            said["name"],
            said["query"],
            project=project,
            now=datetime.now(UTC),
        )
        return Response(SavedView(row).data, status=201)


class SavedViewDetail(APIView):
    """One saved view."""

    @extend_schema(summary="One saved view", responses=SavedView)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(SavedView(saved_views.view_get(request.user, pk)).data)

    @extend_schema(
        summary="Remove it",
        description="For its owner, and maintainers of the project it is shared with.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        saved_views.view_remove(request.user, pk)
        return Response(status=204)
