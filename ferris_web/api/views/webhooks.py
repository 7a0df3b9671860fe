"""Webhooks: everybody sees which there are, administrators make them, test them and see what came."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core import exceptions as django_errors
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.errors import Conflict
from ferris.signatures import NotGenuine
from ferris_web.accounts.permissions import may_manage
from ferris_web.api.incoming import actor_of, body_of, only_new
from ferris_web.api.pagination import ByName, KeysetPagination
from ferris_web.api.serializers import webhooks as shapes
from ferris_web.catalog import webhooks
from ferris_web.catalog.models import Webhook, WebhookDelivery
from ferris_web.executions.services.webhooks import webhook_test


def _check(request: Request) -> None:
    if not may_manage(actor_of(request), Webhook):
        raise PermissionDenied(
            "Webhooks are for administrators of the platform to change, test and look into."
        )


@extend_schema_view(get=extend_schema(summary="Webhooks by name"))
class WebhookList(ListAPIView):
    """Webhooks."""

    queryset = Webhook.objects.none()
    serializer_class = shapes.Webhook
    pagination_class = ByName

    def get_queryset(self) -> QuerySet[Webhook]:
        return webhooks.webhook_list()


class WebhookDetail(APIView):
    """One webhook. Its secret cannot be read."""

    @extend_schema(summary="One webhook", responses=shapes.Webhook)
    def get(self, request: Request, name: str) -> Response:
        return Response(shapes.Webhook(webhooks.webhook_get(name)).data)

    @extend_schema(
        summary="Make or change a webhook",
        description="For administrators of the platform. A new one without a secret gets one, which the answer has "
        "and nothing else ever again. A changed secret counts beside the new one for `overlap_hours`.",
        request=shapes.WebhookIn,
        responses=shapes.WebhookSaved,
    )
    def put(self, request: Request, name: str) -> Response:
        _check(request)
        given: dict[str, Any] = body_of(request, shapes.WebhookIn, shapes.Webhook)
        try:
            made = webhooks.webhook_set(name, now=datetime.now(UTC), new=only_new(request), **given)
        except django_errors.ValidationError as error:
            raise ValidationError(error.message_dict) from None
        answer = shapes.WebhookSaved(made.webhook, context={"secret": made.secret}).data
        return Response(answer, headers={"Cache-Control": "no-store"})

    @extend_schema(summary="Remove a webhook", request=None, responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        _check(request)
        webhooks.webhook_remove(webhooks.webhook_get(name))
        return Response(status=204)


class WebhookTest(APIView):
    """Sends a webhook a sample."""

    @extend_schema(
        summary="Test a webhook",
        description="A sample, signed as its sender would, goes the way of every other request and becomes an event "
        "that services take like any other. For administrators.",
        request=None,
        responses={202: shapes.WebhookTried},
    )
    def post(self, request: Request, name: str) -> Response:
        _check(request)
        try:
            event = webhook_test(webhooks.webhook_get(name), now=datetime.now(UTC))
        except NotGenuine as error:
            raise Conflict(f"the sample was refused: {error}") from None
        return Response(shapes.WebhookTried({"id": event.id, "type": event.type}).data, status=202)


class _ByArrival(KeysetPagination):
    """Deliveries, newest first."""

    ordering = ("-received_at", "-id")


@extend_schema_view(
    get=extend_schema(
        summary="What lately came to a webhook",
        description="The latest 200 and, of those that were refused, 50. For administrators.",
    )
)
class WebhookDeliveries(ListAPIView):
    """Requests that came."""

    queryset = WebhookDelivery.objects.none()
    serializer_class = shapes.WebhookDelivery
    pagination_class = _ByArrival

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        _check(self.request)
        return webhooks.delivery_list(webhooks.webhook_get(self.kwargs["name"]))
