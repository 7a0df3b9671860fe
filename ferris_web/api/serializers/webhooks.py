"""Webhooks, as the API shows and takes them."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris import signatures
from ferris_web import wiring
from ferris_web.api.serializers.fields import ExplainedChoice, JsonObject, Text, TextIn, Time
from ferris_web.catalog.models import Webhook as Row
from ferris_web.catalog.models import WebhookDelivery as DeliveryRow

WEBHOOK_KINDS = list(signatures.KINDS.items())
WEBHOOK_OUTCOMES = DeliveryRow.Outcome.choices


class Webhook(serializers.Serializer):
    """A source whose requests become events."""

    name = serializers.CharField()
    address = serializers.SerializerMethodField(help_text="Where its sender sends to.")
    description = Text()
    active = serializers.BooleanField()
    kind = ExplainedChoice(WEBHOOK_KINDS, help_text="How requests are verified.")
    options = JsonObject()
    window_seconds = serializers.IntegerField()
    previous_until = Time(
        allow_null=True, help_text="So long the secret before this one counts too; null: only one counts."
    )
    event_type = serializers.CharField()
    type_from = Text()
    id_from = Text()
    headers = JsonObject()
    created_at = Time()
    updated_at = Time()

    @extend_schema_field({"type": "string", "format": "uri"})
    def get_address(self, webhook: Row) -> str:
        return f"{wiring.config().public_url}/hooks/{webhook.name}/"


class WebhookSaved(Webhook):
    """The webhook, and once the secret that was made for it."""

    secret = serializers.SerializerMethodField(
        help_text="Only when the platform made one, and never shown again."
    )

    @extend_schema_field({"type": ["string", "null"]})
    def get_secret(self, webhook: Row) -> str | None:
        return self.context.get("secret")


class WebhookIn(serializers.Serializer):
    """What to set of a webhook; what is left out stays. A new one needs a kind."""

    description = TextIn(max_length=300)
    active = serializers.BooleanField(required=False)
    kind = ExplainedChoice(WEBHOOK_KINDS, required=False)
    options = JsonObject(
        required=False,
        help_text="hmac: header, algorithm, encoding (hex, base64), prefix, signed, timestamp_header. "
        "token: header, prefix.",
    )
    secret = serializers.CharField(max_length=500, required=False, write_only=True)
    new_secret = serializers.BooleanField(
        required=False, help_text="Make a new secret; the answer has it, once."
    )
    overlap_hours = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=720,
        help_text="How long the secret before still counts; 24 when left out. Without a new secret: from now on.",
    )
    window_seconds = serializers.IntegerField(required=False, min_value=1, max_value=86_400)
    event_type = serializers.CharField(max_length=400, required=False)
    type_from = TextIn(max_length=200)
    id_from = TextIn(max_length=200)
    headers = JsonObject(required=False)


class WebhookDelivery(serializers.Serializer):
    """A request that came, and what became of it."""

    id = serializers.IntegerField()
    received_at = Time()
    outcome = serializers.ChoiceField(WEBHOOK_OUTCOMES)
    detail = Text()
    event_id = Text()
    event_type = Text()
    size = serializers.IntegerField()
    test = serializers.BooleanField()
    headers = JsonObject(help_text="Without those that prove the sender.")
    body = Text(help_text="Its beginning, secrets hidden; null for a request that was refused.")


class WebhookTried(serializers.Serializer):
    """The event that a sample became."""

    id = serializers.CharField()
    type = serializers.CharField()
