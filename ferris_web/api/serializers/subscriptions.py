"""Subscriptions and their deliveries, as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris import pushing
from ferris_web.api.serializers.fields import ExplainedChoice, JsonObject, Text, TextIn, Time
from ferris_web.catalog.models import Subscription as Row
from ferris_web.executions.models import Delivery as DeliveryRow

SUBSCRIPTION_FORMS = list(pushing.FORMS)
SUBSCRIPTION_STATUSES = Row.Status.choices
DELIVERY_STATUSES = DeliveryRow.Status.choices
WAITING = [("drain", "drain"), ("skip", "skip")]


class Subscription(serializers.Serializer):
    """Events that match are pushed, signed by Standard Webhooks, to a URL. Its secret cannot be read."""

    name = serializers.CharField()
    project = serializers.CharField(source="project.name")
    description = Text()
    status = serializers.ChoiceField(SUBSCRIPTION_STATUSES)
    event_type = serializers.CharField(help_text="A type, prefix.* or *.")
    filter = JsonObject(allow_null=True)
    cesql = Text()
    receiver = serializers.CharField(help_text="Scheme and host of its URL.")
    form = ExplainedChoice(SUBSCRIPTION_FORMS)
    secret_headers = serializers.ListField(
        child=serializers.CharField(), help_text="Their names; values cannot be read."
    )
    timeout_seconds = serializers.IntegerField()
    disable_after_days = serializers.IntegerField()
    previous_until = Time(
        allow_null=True, help_text="So long the secret before this one signs too; null: one signs."
    )
    failing_since = Time(allow_null=True, help_text="No attempt has succeeded since; null: all is well.")
    disabled_at = Time(allow_null=True)
    disabled_reason = Text()
    created_at = Time()
    updated_at = Time()


class SubscriptionFull(Subscription):
    """With what only those see who may change it."""

    url = serializers.CharField()
    headers = JsonObject()


class SubscriptionSaved(SubscriptionFull):
    """The subscription, and once the secret that was made for it."""

    secret = serializers.SerializerMethodField(
        help_text="Only when the platform made one, and never shown again."
    )

    @extend_schema_field({"type": ["string", "null"]})
    def get_secret(self, row: Row) -> str | None:
        return self.context.get("secret")


@extend_schema_field(
    {
        "oneOf": [
            {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
            {"type": "array", "items": {"type": "string"}},
        ]
    }
)
class SecretHeaders(serializers.JSONField):
    """Values by name; or names alone, as they are shown, whose values stay."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return dict.fromkeys(value)
        return value


class SubscriptionQuery(serializers.Serializer):
    """Which subscriptions."""

    project = serializers.CharField(required=False, default="")


class SubscriptionIn(serializers.Serializer):
    """What to set of a subscription; what is left out stays."""

    project = serializers.CharField(required=False)
    description = TextIn(max_length=300)
    event_type = serializers.CharField(max_length=512, required=False, help_text="A type, prefix.* or *.")
    filter = JsonObject(required=False, allow_null=True, help_text="As in a manifest's trigger_events.")
    cesql = TextIn(max_length=10_000)
    url = serializers.CharField(max_length=pushing.MAX_URL, required=False)
    form = ExplainedChoice(SUBSCRIPTION_FORMS, required=False)
    headers = JsonObject(required=False, help_text="Sent along.")
    secret_headers = SecretHeaders(
        required=False,
        write_only=True,
        help_text="Likewise, encrypted; those that are not named are removed. A name with null, or a list of names as "
        "it is shown, keeps the values there are.",
    )
    secret = serializers.CharField(
        max_length=500, required=False, write_only=True, help_text="whsec_ and base64 of 24 to 64 bytes."
    )
    new_secret = serializers.BooleanField(
        required=False, help_text="Make a new secret; the answer has it, once."
    )
    overlap_hours = serializers.IntegerField(
        required=False, min_value=0, max_value=720, help_text="How long the secret before still signs; 24."
    )
    timeout_seconds = serializers.IntegerField(required=False, min_value=1, max_value=30)
    disable_after_days = serializers.IntegerField(required=False, min_value=1, max_value=30)


class SubscriptionNew(SubscriptionIn):
    """A new subscription."""

    name = serializers.CharField(max_length=100)
    project = serializers.CharField()
    event_type = serializers.CharField(max_length=512, help_text="A type, prefix.* or *.")
    url = serializers.CharField(max_length=pushing.MAX_URL)


class SubscriptionResume(serializers.Serializer):
    """What becomes of deliveries that wait."""

    waiting = serializers.ChoiceField(WAITING, default="drain", help_text="drain: send them; skip: do not.")


class Redeliver(serializers.Serializer):
    """Which deliveries to send again."""

    since = Time(help_text="Failed and cancelled ones, written since then.")


class Redelivered(serializers.Serializer):
    """How many are sent again."""

    deliveries = serializers.IntegerField()


class DeliveryQuery(serializers.Serializer):
    """Which deliveries."""

    status = serializers.ChoiceField(DELIVERY_STATUSES, required=False, default="")


class Delivery(serializers.Serializer):
    """One event on its way to a subscriber."""

    id = serializers.UUIDField()
    message_id = serializers.CharField(help_text="Its webhook-id, the same for every attempt.")
    event = serializers.UUIDField(
        source="event_key",
        allow_null=True,
        help_text="The event's key in the journal, or the id of the execution that ended; null: a sample.",
    )
    event_id = Text()
    event_type = serializers.CharField()
    status = serializers.ChoiceField(DELIVERY_STATUSES)
    attempts = serializers.IntegerField()
    created_at = Time()
    next_attempt_at = serializers.SerializerMethodField()
    finished_at = Time(allow_null=True)
    last_status = serializers.IntegerField(help_text="HTTP status; 0: there was no answer.")
    last_problem = Text()

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_next_attempt_at(self, row: DeliveryRow) -> str | None:
        return Time().to_representation(row.due_at if row.status == "pending" else None)


class DeliveryAttempt(serializers.Serializer):
    """One request, and what came of it."""

    number = serializers.IntegerField()
    at = Time()
    seconds = serializers.FloatField()
    status = serializers.IntegerField(help_text="HTTP status; 0: there was no answer.")
    problem = Text()
    answer = Text(help_text="The beginning of the answer, secrets hidden.")


class DeliveryDetail(Delivery):
    """With its attempts, the latest first."""

    log = DeliveryAttempt(many=True)
