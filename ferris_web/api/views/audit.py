"""The audit log."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.views import APIView

from ferris_web.accounts.models import AuditEntry as Row
from ferris_web.api.answers import attachment, form_of
from ferris_web.api.incoming import query_of
from ferris_web.api.pagination import KeysetPagination
from ferris_web.api.serializers.fields import JsonObject, Text, Time
from ferris_web.executions.auditing import audit_list, audit_written
from ferris_web.executions.listings.export import FORMS


class AuditQuery(serializers.Serializer):
    """Which entries."""

    query = serializers.CharField(default="", max_length=200, help_text="In who, what and to what.")
    project = serializers.CharField(default="", max_length=100)
    since = Time(required=False)
    until = Time(required=False)


class AuditEntry(serializers.Serializer):
    """Who did what, when and from where."""

    id = serializers.IntegerField()
    at = Time()
    actor = serializers.CharField()
    via = Text(help_text="How the token begins; null: in a browser.")
    address = Text()
    action = serializers.CharField()
    method = Text()
    status = serializers.IntegerField()
    project = Text()
    object = Text()
    said = JsonObject()
    before = JsonObject()
    after = JsonObject()


class ByTime(KeysetPagination):
    """Newest first."""

    ordering = ("-at", "-id")


class AuditFile(APIView):
    """The audit log as a file."""

    @extend_schema(
        summary="The audit log as a file, oldest first",
        description="What the caller may read of it and fits, however long it is.",
        parameters=[AuditQuery, OpenApiParameter("form", str, enum=list(FORMS))],
        responses={(200, FORMS["jsonl"]): OpenApiTypes.BINARY, (200, FORMS["csv"]): OpenApiTypes.BINARY},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        rows, form = audit_list(request.user, **query_of(request, AuditQuery)), form_of(request)
        return attachment(audit_written(rows, form), "audit", form)


@extend_schema_view(
    get=extend_schema(
        parameters=[AuditQuery],
        summary="The audit log, newest first",
        description="Every change and every use of secrets: administrators see all, owners those of their projects.",
    )
)
class AuditList(ListAPIView):
    """The audit log."""

    queryset = Row.objects.none()
    serializer_class = AuditEntry
    pagination_class = ByTime

    def get_queryset(self) -> QuerySet[Row]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return audit_list(self.request.user, **query_of(self.request, AuditQuery))
