"""Secrets of the platform, of projects and of services: names can be read, values only written."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import reach
from ferris_web.api.incoming import actor_of, body_of, query_of
from ferris_web.api.pagination import ByName, KeysetPagination
from ferris_web.api.serializers import secrets as shapes
from ferris_web.catalog import selectors
from ferris_web.catalog.models import Secret
from ferris_web.catalog.secret_uses import with_uses
from ferris_web.catalog.secrets import secret_delete, secret_set
from ferris_web.executions.secret_charts import secrets_known, with_charts


def _owner(scope: str, name: str | None) -> dict[str, Any]:
    owner = selectors.owner_get(scope, name)
    return {} if owner is None else {scope: owner}


class _Heads(ListAPIView):
    """Names of secrets, each with the charts that send it."""

    queryset = Secret.objects.none()

    def paginate_queryset(self, queryset: QuerySet[Secret]) -> list[Secret]:
        return with_charts(super().paginate_queryset(queryset) or (), reach(self.request.user))


@extend_schema_view(get=extend_schema(summary="Names of secrets"))
class SecretList(_Heads):
    """The names of the secrets that were set here; a service sees those of its project and platform too."""

    serializer_class = shapes.SecretHead
    pagination_class = ByName
    scope: str = Secret.Scope.PLATFORM

    def get_queryset(self) -> QuerySet[Secret]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        owner = _owner(self.scope, self.kwargs.get("name"))
        return with_uses(Secret.objects.filter(scope=self.scope, **owner).defer("ciphertext"))


class ByNameAndId(KeysetPagination):
    """By name; there are several of one."""

    ordering = ("name", "id")


@extend_schema_view(
    get=extend_schema(
        summary="Every secret that one may know of, with who uses it",
        description="Those of the platform, and of the projects that one sees and their services. Uses by services "
        "that one does not see are neither listed nor counted.",
        parameters=[shapes.KnownSecretsQuery],
    )
)
class KnownSecrets(_Heads):
    """All secrets by name, scope and use. Never a value."""

    serializer_class = shapes.KnownSecret
    pagination_class = ByNameAndId

    def get_queryset(self) -> QuerySet[Secret]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        said = query_of(self.request, shapes.KnownSecretsQuery)
        query = said.pop("q", "")
        return secrets_known(reach(self.request.user), query=query, **said)


class SecretDetail(APIView):
    """One secret. There is no way to read its value."""

    scope: str = Secret.Scope.PLATFORM

    @extend_schema(summary="Set a secret", request=shapes.SecretValue, responses={204: None})
    def put(self, request: Request, secret: str, name: str | None = None) -> Response:
        value = body_of(request, shapes.SecretValue)["value"]
        owner = _owner(self.scope, name)
        try:
            secret_set(self.scope, secret, value, **owner, by=actor_of(request).get_username())
        except ValueError as error:
            raise ValidationError({"name": str(error)}) from None
        return Response(status=204)

    @extend_schema(summary="Delete a secret", request=None, responses={204: None})
    def delete(self, request: Request, secret: str, name: str | None = None) -> Response:
        secret_delete(self.scope, secret, **_owner(self.scope, name))
        return Response(status=204)
