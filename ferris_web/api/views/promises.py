"""Promises of flows."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView

from ferris_web.api.incoming import query_of
from ferris_web.api.pagination import ByGiving
from ferris_web.api.serializers import promises as shapes
from ferris_web.executions import promised
from ferris_web.executions.models import Promise
from ferris_web.executions.visibility import scoped


@extend_schema_view(
    get=extend_schema(parameters=[shapes.PromiseQuery], summary="Promises of flows, newest first"),
)
class PromiseList(ListAPIView):
    """What events have promised by the rules of `ferris.json`, and what became of it."""

    queryset = Promise.objects.none()
    serializer_class = shapes.Promise
    pagination_class = ByGiving

    def get_queryset(self) -> QuerySet[Promise]:
        found = promised.promise_list(**query_of(self.request, shapes.PromiseQuery))
        return scoped(found, self.request.user)
