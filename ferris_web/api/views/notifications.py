"""Rules of notifications: everybody sees which there are; who manages them makes, tries and changes them, and sees
what was sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core import exceptions as django_errors
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import Action, require
from ferris_web.api.incoming import body_of, query_of
from ferris_web.api.pagination import ByName, KeysetPagination
from ferris_web.api.serializers import notifications as shapes
from ferris_web.catalog import notifications
from ferris_web.catalog.models import NotificationRule, Project
from ferris_web.catalog.selectors import project_get
from ferris_web.executions.models import Notification
from ferris_web.executions.services import notices
from ferris_web.executions.visibility import allow, scoped

_EXAMPLE = {
    "project": "shop",
    "kind": "failures",
    "times": 3,
    "within_minutes": 0,
    "quiet_minutes": 30,
    "targets": ["discord://…/…", "mailto://…"],
}


def _managed(request: Request, name: str) -> NotificationRule:
    row = notifications.rule_get(name)
    require(request.user, Action.EDIT, row.project_id, row.project.name)
    return row


def _project(request: Request, name: str) -> Project:
    allow(request.user, Action.EDIT, "project", name)
    return project_get(name)


def _saved(name: str, given: dict[str, Any], status: int = 200) -> Response:
    try:
        row = notifications.rule_set(name, **given)
    except django_errors.ValidationError as error:
        raise ValidationError(error.message_dict) from None
    return Response(shapes.NotificationRule(row).data, status=status)


@extend_schema_view(
    get=extend_schema(summary="Notification rules by name", parameters=[shapes.NotificationQuery])
)
class RuleList(ListAPIView):
    """Rules of notifications."""

    queryset = NotificationRule.objects.none()
    serializer_class = shapes.NotificationRule
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[NotificationRule]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        rows = notifications.rule_list(query_of(self.request, shapes.NotificationQuery)["project"])
        return scoped(rows, self.request.user)

    @extend_schema(
        summary="Make a notification rule",
        request=shapes.NotificationRuleNew,
        responses={201: shapes.NotificationRule},
        examples=[OpenApiExample("three in a row", {"name": "pager", **_EXAMPLE}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        given: dict[str, Any] = body_of(request, shapes.NotificationRuleNew)
        given["project"] = _project(request, given["project"])
        name = given.pop("name")
        return _saved(name, {**given, "new": True}, status=201)


class RuleDetail(APIView):
    """One rule."""

    @extend_schema(summary="One notification rule", responses=shapes.NotificationRule)
    def get(self, request: Request, name: str) -> Response:
        return Response(shapes.NotificationRule(notifications.rule_get(name)).data)

    @extend_schema(
        summary="Change a notification rule",
        request=shapes.NotificationRuleIn,
        responses=shapes.NotificationRule,
        examples=[OpenApiExample("later", {"quiet_minutes": 60}, request_only=True)],
    )
    def put(self, request: Request, name: str) -> Response:
        _managed(request, name)
        given: dict[str, Any] = body_of(request, shapes.NotificationRuleIn, shapes.NotificationRule)
        if "project" in given:
            given["project"] = _project(request, given["project"])
        return _saved(name, given)

    @extend_schema(summary="Remove a notification rule", request=None, responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        notifications.rule_remove(_managed(request, name))
        return Response(status=204)


class RuleTest(APIView):
    """Sends a sample."""

    @extend_schema(
        summary="Test a notification rule",
        description="A message to each of its targets; read what was sent to see what came of it.",
        request=None,
        responses={202: shapes.Notification(many=True)},
    )
    def post(self, request: Request, name: str) -> Response:
        made = notices.rule_test(_managed(request, name), now=datetime.now(UTC))
        return Response(shapes.Notification(made, many=True).data, status=202)


class _ByTime(KeysetPagination):
    """Messages, newest first."""

    ordering = ("-created_at", "-id")


@extend_schema_view(get=extend_schema(summary="What a notification rule sent, newest first"))
class MessageList(ListAPIView):
    """Messages."""

    queryset = Notification.objects.none()
    serializer_class = shapes.Notification
    pagination_class = _ByTime

    def get_queryset(self) -> QuerySet[Notification]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return notices.message_list(_managed(self.request, self.kwargs["name"]))
