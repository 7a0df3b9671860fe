"""Database connections for .sql scripts: everybody sees which there are, administrators make and test them."""

from __future__ import annotations

from typing import Any

from django.core import exceptions as django_errors
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.errors import NotFound
from ferris_web.accounts.permissions import may_manage
from ferris_web.api.incoming import actor_of, body_of, only_new
from ferris_web.api.pagination import ByName
from ferris_web.api.serializers import connections as shapes
from ferris_web.catalog import connections, selectors
from ferris_web.catalog.models import Connection


def _manages(request: Request) -> bool:
    return may_manage(actor_of(request), Connection)


def _shown(request: Request, connection: Connection) -> Response:
    """Hosts and user names are for administrators."""
    return Response(shapes.Connection(connection, context={"manages": _manages(request)}).data)


def _check(request: Request) -> None:
    if not _manages(request):
        raise PermissionDenied(
            "Database connections are for administrators of the platform to change and test."
        )


@extend_schema_view(get=extend_schema(summary="Database connections by name"))
class ConnectionList(ListAPIView):
    """Database connections."""

    queryset = Connection.objects.none()
    serializer_class = shapes.Connection
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[Connection]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return connections.connection_list()

    def get_serializer_context(self) -> dict[str, Any]:
        known = not getattr(self, "swagger_fake_view", False)
        return {**super().get_serializer_context(), "manages": known and _manages(self.request)}


class ConnectionDetail(APIView):
    """One connection. Its password cannot be read."""

    @extend_schema(summary="One connection", responses=shapes.Connection)
    def get(self, request: Request, name: str) -> Response:
        return _shown(request, connections.connection_get(name))

    @extend_schema(
        summary="Make or change a connection",
        description="For administrators of the platform. Scripts that start from now on get it.",
        request=shapes.ConnectionIn,
        responses=shapes.Connection,
    )
    def put(self, request: Request, name: str) -> Response:
        _check(request)
        given = body_of(request, shapes.ConnectionIn, shapes.Connection)
        if "projects" in given:
            given["projects"] = [_project(project) for project in given["projects"]]
        try:
            made = connections.connection_set(name, new=only_new(request), **given)
        except django_errors.ValidationError as error:
            raise ValidationError(error.message_dict) from None
        return _shown(request, connections.connection_get(made.name))

    @extend_schema(summary="Remove a connection", request=None, responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        _check(request)
        connections.connection_remove(connections.connection_get(name))
        return Response(status=204)


def _project(name: str) -> Any:
    try:
        return selectors.project_get(name)
    except NotFound as error:
        raise ValidationError({"projects": [str(error)]}) from None


class ConnectionTest(APIView):
    """Tries a connection."""

    @extend_schema(
        summary="Test a connection",
        description="Connects from the web process, asks something, changes nothing. For administrators.",
        request=None,
        responses=shapes.ConnectionTried,
    )
    def post(self, request: Request, name: str) -> Response:
        _check(request)
        tried = connections.connection_try(connections.connection_get(name))
        return Response(shapes.ConnectionTried({"ok": tried.ok, "text": tried.text}).data)
