"""Lists by cursor: each page is one query, as fast on the thousandth as on the first, steady while rows are added."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Model, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

LIMIT = 50
MOST = 500
_PARAMETERS = (
    ("limit", "integer", f"Results per page, at most {MOST}; {LIMIT} if not given."),
    ("cursor", "string", "Where a page begins: taken from `next` or `previous` of another page."),
)


class KeysetPagination(BasePagination):
    """Pages of rows in the order of `ordering`, the last field of which is unique.

    The cursor holds the values of these fields in the last row of a page, so that rows which were added or
    removed meanwhile neither repeat nor hide others. Sub-classes name their order.
    """

    ordering: tuple[str, ...] = ("-created_at", "-id")

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """The rows of the page that `cursor` and `limit` ask for; ValidationError for wrong ones."""
        self._url = request.build_absolute_uri()
        limit = limit_of(request)
        place, backwards = self._read(request.query_params.get("cursor", ""), queryset.model)
        order = [_turned(field) for field in self.ordering] if backwards else list(self.ordering)
        if place is not None:
            queryset = queryset.filter(_behind(order, place))
        rows = list(queryset.order_by(*order)[: limit + 1])
        more = len(rows) > limit
        rows = rows[:limit]
        if backwards:
            rows.reverse()
        # Coming from a page, there is one on that side; on the other side the row too many tells.
        self._has_next = bool(rows) and (backwards or more)
        self._has_previous = bool(rows) and (more if backwards else place is not None)
        self._rows = rows
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "results": data,
                "next": self._link(self._rows[-1], False) if self._has_next else None,
                "previous": self._link(self._rows[0], True) if self._has_previous else None,
            }
        )

    def _link(self, row: Any, backwards: bool) -> str:
        values = [_plain(getattr(row, field.lstrip("-"))) for field in self.ordering]
        text = base64.urlsafe_b64encode(orjson.dumps([int(backwards), *values])).decode().rstrip("=")
        return replace_query_param(self._url, "cursor", text)

    def _read(self, cursor: str, model: type[Model]) -> tuple[list[Any] | None, bool]:
        if not cursor:
            return None, False
        try:
            said = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            backwards, *values = said
            fields = [model._meta.get_field(field.lstrip("-")) for field in self.ordering]
            place = [field.to_python(value) for field, value in zip(fields, values, strict=True)]
            if None in place or any(isinstance(v, datetime) and v.tzinfo is None for v in place):
                raise ValueError(cursor)
        except (ValueError, TypeError, binascii.Error, DjangoValidationError):
            raise ValidationError({"cursor": "is none of ours; take it from `next` or `previous`"}) from None
        return place, bool(backwards)

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


def limit_of(request: Request, most: int = MOST) -> int:
    """The `limit` of a request; ValidationError when it is no number from 1 to `most`."""
    text = request.query_params.get("limit", "") or str(LIMIT)
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


def _behind(order: Sequence[str], place: Sequence[Any]) -> Q:
    """Rows behind a place. The first condition alone bounds the walk along the index; the rest is for equals."""
    first = order[0].lstrip("-")
    bound = Q(**{f"{first}__{_beyond(order[0])}e": place[0]})
    behind, equals = Q(), Q()
    for field, value in zip(order, place, strict=True):
        name = field.lstrip("-")
        behind |= equals & Q(**{f"{name}__{_beyond(field)}": value})
        equals &= Q(**{name: value})
    return bound & behind


def _beyond(field: str) -> str:
    return "lt" if field.startswith("-") else "gt"


def _turned(field: str) -> str:
    return field[1:] if field.startswith("-") else f"-{field}"


def _plain(value: Any) -> Any:
    return (
        value
        if isinstance(value, (int, str))
        else value.isoformat()
        if isinstance(value, datetime)
        else str(value)
    )
