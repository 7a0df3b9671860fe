"""Configuration and state: what they are, were at any time, and how they came to be so.

The answer to a GET has an `ETag`; who sends it back as `If-Match` overwrites nobody's change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.errors import BackendError, Conflict
from ferris.json_text import JsonProblem, read_json
from ferris.ports import Entry
from ferris.scopes import Scope, given, merged
from ferris.text_differences import Difference
from ferris_web.accounts.permissions import Action, access_of
from ferris_web.api import problems
from ferris_web.api.answers import answer
from ferris_web.api.incoming import actor_of, query_of
from ferris_web.api.pagination import KeysetPagination
from ferris_web.api.parsing import JsonParser
from ferris_web.api.serializers import values as shapes
from ferris_web.catalog import selectors
from ferris_web.catalog.configs import configs_of
from ferris_web.catalog.models import ValueChange
from ferris_web.catalog.value_history import (
    change_at,
    change_get,
    change_other,
    changes_compared,
    changes_of,
    content_of,
    contents_compared,
    values_known,
)
from ferris_web.catalog.values import Kind, Place
from ferris_web.executions.services.values import encoded, value_get, value_remove, value_restore, value_set
from ferris_web.executions.visibility import scoped

_IF_MATCH: Final = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` that was seen; 412 when it is another now.",
)
_NO_INDEX: Final = 2**62
"""What no store has reached."""


class _ValueParser(JsonParser):
    """JSON as people and programs may store it; what is wrong is named by line and column."""

    def parse(
        self, stream: Any, media_type: str | None = None, context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return read_json(stream.read().decode())
        except UnicodeDecodeError as error:
            raise ParseError(f"The body is not UTF-8 (byte {error.start}).") from None
        except JsonProblem as problem:
            raise ParseError(f"The body is no JSON that can be stored: {problem}.") from None


class _Of:
    """What all these views have: which value they are about."""

    kind: str = Kind.STATE
    scope: str = Scope.SERVICE
    kwargs: dict[str, Any]

    def place(self) -> Place:
        return Place(self.kind, selectors.owner_get(self.scope, self.kwargs.get("name")))


class Value(_Of, APIView):
    """One value, now or at any time."""

    parser_classes = [_ValueParser]
    compares = True

    @extend_schema(
        summary="What it is, or was at a time",
        description="With `at`, what it was then; 404 when its history begins later.",
        parameters=[shapes.AtQuery],
        responses=OpenApiTypes.ANY,
    )
    def get(self, request: Request, **named: Any) -> HttpResponse:
        place, at = self.place(), query_of(request, shapes.AtQuery).get("at")
        if at is not None:
            change = change_at(place, at)
            said = answer(_of_change(place, change))
            said.headers["X-Change"] = str(change.number)
            return said
        entry = value_get(place, datetime.now(UTC))
        said = answer(_read(place, entry.value) if entry else {})
        said.headers["ETag"] = _tag(entry)
        return said

    @extend_schema(
        summary="Set it",
        request=OpenApiTypes.ANY,
        responses={200: OpenApiTypes.ANY},
    )
    def put(self, request: Request, **named: Any) -> HttpResponse:
        place, value, cas, now = self.place(), request.data, _seen(request), datetime.now(UTC)
        try:
            done = value_set(place, value, actor=actor_of(request).get_username(), now=now, cas=cas)
        except ValueError as error:
            raise ValidationError(str(error)) from None
        if not done:
            return _changed(place, encoded(place, value), now)
        said = answer(value)
        said.headers["ETag"] = _tag(value_get(place, now))
        return said

    @extend_schema(summary="Remove it", request=None, responses={204: None})
    def delete(self, request: Request, **named: Any) -> HttpResponse:
        place, cas, now = self.place(), _seen(request), datetime.now(UTC)
        if not value_remove(place, actor=actor_of(request).get_username(), now=now, cas=cas):
            return _changed(place, None, now)
        return Response(status=204)


class ConfigGiven(APIView):
    """What a service's executions get."""

    @extend_schema(
        summary="The configuration that its executions get, and where each value comes from",
        description="The nearest scope that has a name gives its value: the service's own, else its project's, else "
        "the platform's.",
        responses=shapes.ConfigGiven,
    )
    def get(self, request: Request, name: str) -> HttpResponse:
        service = selectors.service_get(name)
        layers = configs_of(service).layers(service.name, service.project.name)
        return answer({"config": merged(layers), "values": [vars(one) for one in given(layers)]})


class ByChange(KeysetPagination):
    """What changed last in front."""

    ordering = ("-at", "-id")


@extend_schema_view(
    get=extend_schema(
        summary="Every configuration and state, what changed last in front",
        description="Those that one sees. What was written elsewhere is seen within an hour.",
        parameters=[shapes.ValuesQuery],
    )
)
class ValueList(ListAPIView):
    """All values with their newest change."""

    queryset = ValueChange.objects.none()
    serializer_class = shapes.NewestChange
    pagination_class = ByChange

    def get_queryset(self) -> QuerySet[ValueChange]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        user, said = self.request.user, query_of(self.request, shapes.ValuesQuery)
        query, env = said.pop("q", ""), access_of(user).may(Action.ADMINISTER)
        return scoped(values_known(query=query, env=env, **said), user)


class ByNumber(KeysetPagination):
    """The newest first."""

    ordering = ("-number",)


@extend_schema_view(
    get=extend_schema(
        summary="Every change of it, newest first",
        description="Writes of one execution within ten seconds are one change. How long they are kept: "
        "`FERRIS_HISTORY_DAYS`.",
    )
)
class ValueHistory(_Of, ListAPIView):
    """The history of a value."""

    queryset = ValueChange.objects.none()
    serializer_class = shapes.Change
    pagination_class = ByNumber

    def get_queryset(self) -> QuerySet[ValueChange]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        place = self.place()
        value_get(place, datetime.now(UTC))
        return changes_of(place)


class ValueChangeDetail(_Of, APIView):
    """One change."""

    @extend_schema(
        summary="One change, with its value and what is different",
        description="Against the change before it, or against the one named by `with`.",
        parameters=[shapes.WithQuery],
        responses=shapes.WholeChange,
    )
    def get(self, request: Request, number: int, **named: Any) -> Response:
        place = self.place()
        change = change_get(place, number)
        old = change_other(place, number, query_of(request, shapes.WithQuery).get("with"))
        return Response(shapes.WholeChange(change).data | _compared(place, old, change))


class ValueChangeRestore(_Of, APIView):
    """Takes a value back."""

    @extend_schema(
        summary="Make it again what it was then",
        description="A change like any other: the history goes on. 409 when that value was not kept.",
        parameters=[_IF_MATCH],
        request=None,
        responses={200: shapes.Change},
    )
    def post(self, request: Request, number: int, **named: Any) -> HttpResponse:
        place, now = self.place(), datetime.now(UTC)
        change = change_get(place, number)
        actor = actor_of(request).get_username()
        if not value_restore(place, change, actor=actor, now=now, cas=_seen(request)):
            return _changed(place, content_of(change), now)
        return Response(shapes.Change(changes_of(place).first()).data)


def _read(place: Place, value: bytes) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise BackendError(f"the {place}", "is no JSON", "write it again (PUT it)") from None


def _of_change(place: Place, change: ValueChange) -> Any:
    content = content_of(change)
    if change.masked:
        raise Conflict(f"a secret stood in the {place} then, so it was not kept (change {change.number})")
    return {} if content is None else _read(place, content)


def _compared(place: Place, old: ValueChange | None, new: ValueChange) -> dict[str, Any]:
    content = content_of(new)
    try:
        value = None if content is None else json.loads(content)
    except (ValueError, RecursionError):
        value = content.decode("utf-8", "replace") if content else None
    found = changes_compared(old, new)
    return {"value": value, "with": old.number if old else None} | _told(found)


def _told(found: Difference) -> dict[str, Any]:
    return {"difference": list(found.lines), "note": found.note or None}


def _tag(entry: Entry | None) -> str:
    return f'"{entry.index if entry else 0}"'


def _seen(request: Request) -> int | None:
    """The index that the conditions of a request name; None without one."""
    if request.headers.get("If-None-Match", "").strip() == "*":
        return 0
    wanted = request.headers.get("If-Match")
    if wanted is None or (tags := parse_etags(wanted)) == ["*"]:
        return None
    number = tags[0].strip('"') if len(tags) == 1 else ""
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else _NO_INDEX


def _changed(place: Place, wanted: bytes | None, now: datetime) -> HttpResponse:
    """412: what is there now, and how it differs from what was to be."""
    entry = value_get(place, now)
    found = contents_compared(entry.value if entry else None, wanted)
    last = changes_of(place).first()
    who = f" by {last.actor or last.get_by_display()}" if last else ""
    return problems.problem(
        "precondition-failed",
        f"The {place} was changed meanwhile{who}. Nothing was overwritten: `difference` leads from what is there now "
        "to what was sent.",
        headers={"ETag": _tag(entry)},
        etag=_tag(entry),
        **_told(found),
    )
