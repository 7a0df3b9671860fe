"""Lists by cursor: each page is one query, as fast on the thousandth as on the first, steady while rows are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from ferris_web import keyset

LIMIT = 50
MOST = 500
_PARAMETERS = (
    ("limit", "integer", f"Results per page, at most {MOST}; {LIMIT} if not given."),
    ("cursor", "string", "Where a page begins: taken from `next` or `previous` of another page."),
)


class KeysetPagination(BasePagination):
    """Pages of rows in the order of `ordering`, the last field of which is unique.

    The cursor holds the values of these fields in the last row of a page, so that rows which were added or
    removed meanwhile neither repeat nor hide others. Sub-classes name their order. A view may have a `way`, see
    `keyset.Way`.
    """

    ordering: tuple[str, ...] = ("-created_at", "-id")

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """The rows of the page that `cursor` and `limit` ask for; ValidationError for wrong ones."""
        self._url = request.build_absolute_uri()
        limit, way = limit_of(request), getattr(view, "way", None)
        try:
            cursor = request.query_params.get("cursor", "")
            self._slice = keyset.cut(queryset, self.ordering, cursor, limit, way)
        except keyset.WrongCursor:
            raise ValidationError({"cursor": "is none of ours; take it from `next` or `previous`"}) from None
        return self._slice.rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "results": data,
                "next": self._link(self._slice.after),
                "previous": self._link(self._slice.before),
            }
        )

    def _link(self, cursor: str) -> str | None:
        return replace_query_param(self._url, "cursor", cursor) if cursor else None

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return page_schema(schema)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": kind}}
            for name, kind, text in _PARAMETERS
        ]


def page_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI schema of a page of such results."""
    link = {"type": ["string", "null"], "format": "uri"}
    return {
        "type": "object",
        "required": ["results", "next", "previous"],
        "properties": {"results": schema, "next": link, "previous": link},
    }


class ByReceived(KeysetPagination):
    """Events, newest first."""

    ordering = ("-received_at", "-key")


class ByStart(KeysetPagination):
    """Flows, newest first."""

    ordering = ("-started_at", "-id")


class ByOpening(KeysetPagination):
    """Gatherings, newest first."""

    ordering = ("-opened_at", "-id")


class ByGiving(KeysetPagination):
    """Promises, newest first."""

    ordering = ("-given_at", "-id")


class ByName(KeysetPagination):
    """What has a unique name."""

    ordering = ("name",)


class ById(KeysetPagination):
    """What has no order of its own."""

    ordering = ("id",)


def limit_of(request: Request, most: int = MOST, *, usual: int = LIMIT) -> int:
    """The `limit` of a request, or the `usual` one; ValidationError when it is no number from 1 to `most`."""
    text = request.query_params.get("limit", "") or str(usual)
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= most):
        raise ValidationError({"limit": f"is {text!r}; expected a whole number from 1 to {most}"})
    return int(text)


def whole(results: Sequence[Any]) -> Response:
    """A list that is short by nature, as one page."""
    return Response({"results": list(results), "next": None, "previous": None})


def next_link(request: Request, **parameters: Any) -> str:
    """The address of this request with other parameters."""
    url = remove_query_param(request.build_absolute_uri(), "cursor")
    for name, value in parameters.items():
        url = replace_query_param(url, name, value)
    return str(url)
