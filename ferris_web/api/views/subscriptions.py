"""Subscriptions: everybody sees which there are; who manages them makes, tries and changes them, and sees what was
sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core import exceptions as django_errors
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import Action, may_edit, require
from ferris_web.api.incoming import actor_of, body_of, query_of
from ferris_web.api.pagination import ByName, KeysetPagination
from ferris_web.api.serializers import subscriptions as shapes
from ferris_web.catalog import subscriptions
from ferris_web.catalog.models import Project, Subscription
from ferris_web.catalog.selectors import project_get
from ferris_web.executions.models import Delivery
from ferris_web.executions.services import deliveries
from ferris_web.executions.visibility import allow, scoped

_EXAMPLE = {
    "project": "shop",
    "event_type": "shop.order.*",
    "filter": {"data": {"total": [{"numeric": [">", 100]}]}},
    "url": "https://example.org/hooks/orders",
    "secret_headers": {"Authorization": "Bearer …"},
}
_MADE = {
    "name": "orders",
    "project": "shop",
    "description": None,
    "status": "active",
    "event_type": "shop.order.*",
    "filter": _EXAMPLE["filter"],
    "cesql": None,
    "receiver": "https://example.org",
    "form": "structured",
    "secret_headers": ["Authorization"],
    "timeout_seconds": 15,
    "disable_after_days": 5,
    "previous_until": None,
    "failing_since": None,
    "disabled_at": None,
    "disabled_reason": None,
    "created_at": "2026-03-01T12:00:00.000Z",
    "updated_at": "2026-03-01T12:00:00.000Z",
    "url": "https://example.org/hooks/orders",
    "headers": {},
    "secret": "whsec_…",
}


def _managed(request: Request, name: str) -> Subscription:
    row = subscriptions.subscription_get(name)
    _check(request, row.project)
    return row


def _check(request: Request, project: Project) -> None:
    require(request.user, Action.EDIT, project.pk, project.name)


def _project(request: Request, name: str) -> Project:
    allow(request.user, Action.EDIT, "project", name)
    return project_get(name)


def _saved(request: Request, name: str, given: dict[str, Any], status: int = 200) -> Response:
    try:
        made = subscriptions.subscription_set(
            name, now=datetime.now(UTC), actor=actor_of(request).get_username(), **given
        )
    except django_errors.ValidationError as error:
        raise ValidationError(error.message_dict) from None
    answer = shapes.SubscriptionSaved(made.subscription, context={"secret": made.secret}).data
    return Response(answer, status=status, headers={"Cache-Control": "no-store"})


@extend_schema_view(get=extend_schema(summary="Subscriptions by name", parameters=[shapes.SubscriptionQuery]))
class SubscriptionList(ListAPIView):
    """Subscriptions."""

    queryset = Subscription.objects.none()
    serializer_class = shapes.Subscription
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[Subscription]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        rows = subscriptions.subscription_list(query_of(self.request, shapes.SubscriptionQuery)["project"])
        return scoped(rows, self.request.user)

    @extend_schema(
        summary="Make a subscription",
        description="One without a secret gets one, which the answer has and nothing else ever again.",
        request=shapes.SubscriptionNew,
        responses={201: shapes.SubscriptionSaved},
        examples=[
            OpenApiExample("orders", {"name": "orders", **_EXAMPLE}, request_only=True),
            OpenApiExample("made", _MADE, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request) -> Response:
        given: dict[str, Any] = body_of(request, shapes.SubscriptionNew)
        given["project"] = _project(request, given["project"])
        name = given.pop("name")
        return _saved(request, name, {**given, "new": True}, status=201)


class SubscriptionDetail(APIView):
    """One subscription."""

    @extend_schema(summary="One subscription", responses=shapes.SubscriptionFull)
    def get(self, request: Request, name: str) -> Response:
        row = subscriptions.subscription_get(name)
        whole = may_edit(actor_of(request), row.project_id)
        return Response((shapes.SubscriptionFull if whole else shapes.Subscription)(row).data)

    @extend_schema(
        summary="Change a subscription",
        description="What is left out stays, and what GET gave may be put back. When the secret changes, the one "
        "before signs beside it for `overlap_hours`.",
        request=shapes.SubscriptionIn,
        responses=shapes.SubscriptionSaved,
        examples=[
            OpenApiExample(
                "one secret header stays, one is new",
                {"secret_headers": {"Authorization": None, "X-Key": "…"}},
                request_only=True,
            ),
            OpenApiExample("another secret", {"new_secret": True, "overlap_hours": 48}, request_only=True),
            OpenApiExample("changed", _MADE, response_only=True, status_codes=["200"]),
        ],
    )
    def put(self, request: Request, name: str) -> Response:
        _managed(request, name)
        given: dict[str, Any] = body_of(request, shapes.SubscriptionIn, shapes.SubscriptionFull)
        if "project" in given:
            given["project"] = _project(request, given["project"])
        return _saved(request, name, given)

    @extend_schema(summary="Remove a subscription", request=None, responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        subscriptions.subscription_remove(_managed(request, name))
        return Response(status=204)


class SubscriptionTest(APIView):
    """Sends a sample."""

    @extend_schema(
        summary="Test a subscription",
        description="A signed event `ferris.subscription.test` is sent to its URL, once. Read the delivery to see what "
        "came of it.",
        request=None,
        responses={202: shapes.Delivery},
    )
    def post(self, request: Request, name: str) -> Response:
        row = _managed(request, name)
        made = deliveries.subscription_test(row, now=datetime.now(UTC))
        return Response(shapes.Delivery(made).data, status=202)


class SubscriptionPause(APIView):
    """Holds deliveries back."""

    @extend_schema(
        summary="Pause a subscription",
        description="What matches meanwhile waits, until it is resumed.",
        request=None,
        responses=shapes.Subscription,
    )
    def post(self, request: Request, name: str) -> Response:
        return Response(shapes.Subscription(subscriptions.subscription_pause(_managed(request, name))).data)


class SubscriptionResume(APIView):
    """Lets it go on."""

    @extend_schema(
        summary="Resume a subscription",
        description="One that was paused, or switched off.",
        request=shapes.SubscriptionResume,
        responses=shapes.Subscription,
    )
    def post(self, request: Request, name: str) -> Response:
        row = _managed(request, name)
        said = body_of(request, shapes.SubscriptionResume)
        row = deliveries.subscription_resume(row, waiting=said["waiting"], now=datetime.now(UTC))
        return Response(shapes.Subscription(row).data)


class SubscriptionRedeliver(APIView):
    """Sends again what failed."""

    @extend_schema(
        summary="Send again what failed",
        request=shapes.Redeliver,
        responses={202: shapes.Redelivered},
    )
    def post(self, request: Request, name: str) -> Response:
        row = _managed(request, name)
        since = body_of(request, shapes.Redeliver)["since"]
        count = deliveries.deliveries_again(row, since=since, now=datetime.now(UTC))
        return Response(shapes.Redelivered({"deliveries": count}).data, status=202)


class _ByTime(KeysetPagination):
    """Deliveries, newest first."""

    ordering = ("-created_at", "-id")


@extend_schema_view(
    get=extend_schema(summary="Deliveries of a subscription, newest first", parameters=[shapes.DeliveryQuery])
)
class DeliveryList(ListAPIView):
    """What was sent, or waits to be."""

    queryset = Delivery.objects.none()
    serializer_class = shapes.Delivery
    pagination_class = _ByTime

    def get_queryset(self) -> QuerySet[Delivery]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        row = _managed(self.request, self.kwargs["name"])
        return deliveries.delivery_list(row, query_of(self.request, shapes.DeliveryQuery)["status"])


class DeliveryDetail(APIView):
    """One delivery."""

    @extend_schema(summary="One delivery with its attempts", responses=shapes.DeliveryDetail)
    def get(self, request: Request, name: str, pk: UUID) -> Response:
        _managed(request, name)
        found = deliveries.delivery_get(name, pk)
        return Response(shapes.DeliveryDetail(found).data)


class DeliveryAgain(APIView):
    """Sends one again."""

    @extend_schema(
        summary="Send a delivery again",
        description="Under the same webhook-id, so that a receiver that has it already knows it.",
        request=None,
        responses={202: shapes.Delivery},
    )
    def post(self, request: Request, name: str, pk: UUID) -> Response:
        _managed(request, name)
        again = deliveries.delivery_again(deliveries.delivery_get(name, pk), now=datetime.now(UTC))
        return Response(shapes.Delivery(again).data, status=202)
