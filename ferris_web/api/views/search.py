"""Searches of the operational records."""

from __future__ import annotations

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.ports import OPS_KINDS
from ferris_web.api.answers import attachment, form_of
from ferris_web.api.listed import asked_of, filters_of
from ferris_web.api.pagination import limit_of, next_link
from ferris_web.executions import searched
from ferris_web.executions.listings.export import FORMS
from ferris_web.executions.searching import SEARCH, Search, record_get, search_for

_KIND = OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=OPS_KINDS, description="Which records.")
_FILTERS = [_KIND, *(one for one in filters_of(SEARCH) if one.name != "kind")]


class FoundPage(serializers.Serializer):
    """Records, whole, newest first. `narrowed`: only the newest flows of the caller's projects were searched."""

    results = serializers.ListField(child=serializers.DictField())
    narrowed = serializers.BooleanField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class ValueCount(serializers.Serializer):
    """How many records have this value."""

    value = serializers.CharField()
    count = serializers.IntegerField()


class CountPage(serializers.Serializer):
    """Counts: of times, oldest first; of values, the most frequent first, 100 at most."""

    results = ValueCount(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


def _asked(request: Request, kind: str, *also: str) -> Search:
    return search_for(request.user, asked_of(request, SEARCH, *also), kind)


class SearchList(APIView):
    """Records that fit a query."""

    @extend_schema(
        summary="Search log lines, events, reports or metrics",
        description='Words, "phrases", `wor*`, `field:value`, `field:>5`, AND, OR, NOT, parentheses. Each caller finds '
        "what belongs to their projects.",
        parameters=[*_FILTERS, OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
        responses=FoundPage,
    )
    def get(self, request: Request, kind: str) -> Response:
        asked = _asked(request, kind)
        found = asked.page(limit=limit_of(request), cursor=request.query_params.get("cursor") or None)
        return Response(
            {
                "results": found.records,
                "narrowed": asked.narrowed,
                "next": next_link(request, cursor=found.cursor) if found.cursor else None,
                "previous": None,
            }
        )


class SearchCounts(APIView):
    """How many records fit."""

    @extend_schema(
        summary="Count what fits a query, over time or by a field",
        parameters=[
            *_FILTERS,
            OpenApiParameter("by", str, required=True, description="`minute`, `hour`, `day`, or a field."),
        ],
        responses=CountPage,
    )
    def get(self, request: Request, kind: str) -> Response:
        by = request.query_params.get("by", "")[:200]
        if not by:
            raise ValidationError({"by": "is missing; expected minute, hour, day or a field"})
        found = [
            {"value": value, "count": amount}
            for value, amount in _asked(request, kind, "by").counts(by).items()
        ]
        return Response({"results": found, "next": None, "previous": None})


class SearchRecord(APIView):
    """One record."""

    @extend_schema(
        summary="One record, by its key (of a log line `execution:cursor`)",
        parameters=[_KIND],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, kind: str, key: str) -> Response:
        return Response(record_get(request.user, kind, key))


class SearchFile(APIView):
    """What fits as a file."""

    @extend_schema(
        summary=f"What fits a query as a file, {searched.MOST:,} records at most",
        parameters=[*_FILTERS, OpenApiParameter("form", str, enum=list(FORMS))],
        responses={(200, FORMS["jsonl"]): OpenApiTypes.BINARY, (200, FORMS["csv"]): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, kind: str) -> StreamingHttpResponse:
        form = form_of(request)
        return attachment(searched.written(_asked(request, kind), form), kind, form)
