"""Files that an execution's steps left behind."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.views import APIView

from ferris.artifacts import BUCKET
from ferris_web import wiring
from ferris_web.api.incoming import query_of
from ferris_web.api.pagination import KeysetPagination
from ferris_web.api.serializers import artifacts as shapes
from ferris_web.executions import selectors
from ferris_web.executions.models import Artifact
from ferris_web.files import file_response


class ByStep(KeysetPagination):
    """Artifacts by attempt, step and name."""

    ordering = ("attempt", "step", "name")


@extend_schema_view(get=extend_schema(summary="Its artifacts, by attempt, step and name"))
class ArtifactList(ListAPIView):
    """Artifacts of one execution."""

    queryset = Artifact.objects.none()
    serializer_class = shapes.Artifact
    pagination_class = ByStep

    def get_queryset(self) -> QuerySet[Artifact]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return selectors.artifact_list(selectors.execution_get(self.kwargs["pk"]).pk)


class ArtifactContent(APIView):
    """One artifact."""

    @extend_schema(
        summary="An artifact's content, as a download",
        description="Without `attempt` and `step`: the latest of that name.",
        parameters=[
            OpenApiParameter("name", OpenApiTypes.STR, location=OpenApiParameter.PATH),
            shapes.ArtifactQuery,
        ],
        responses={(200, "*/*"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: UUID, name: str) -> HttpResponseBase:
        row = selectors.artifact_get(pk, name, **query_of(request, shapes.ArtifactQuery))
        content = wiring.object_store().open(BUCKET, row.key)
        return file_response(content, row.name, row.content_type, row.size, download=True)
