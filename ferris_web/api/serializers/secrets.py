"""Secrets: their names, where they went, never their values."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ferris_web.api.serializers.fields import AnyJson, Text, Time


class SecretUse(serializers.Serializer):
    """A service whose executions got a secret."""

    service = serializers.CharField(source="service.name")
    at = Time(help_text="The last time, to the minute.")
    execution = serializers.UUIDField()


class SecretChart(serializers.Serializer):
    """A chart that sends a secret as a header to its URL."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    header = serializers.CharField()
    asked_at = Time(source="feed.asked_at", allow_null=True, help_text="When it was sent last.")


class SecretHead(serializers.Serializer):
    """A secret's name. Its value is never shown."""

    name = serializers.CharField()
    scope = serializers.CharField()
    synced = serializers.BooleanField(help_text="It came from a secrets.json.")
    updated_at = Time()
    set_by = Text(help_text="The person, `secrets.json`, or the service whose script did.")
    set_execution = serializers.UUIDField(allow_null=True)
    services = serializers.IntegerField(help_text="How many services have used it.")
    used_by = SecretUse(many=True, help_text="The latest 20 of them, the last use in front.")
    charts = SecretChart(many=True, source="sent_by", help_text="Those that send it, of what you see.")


class KnownSecretsQuery(serializers.Serializer):
    """Which secrets."""

    q = serializers.CharField(required=False, max_length=255, help_text="A part of the name.")
    scope = serializers.ChoiceField(["service", "project", "platform"], required=False)
    project = serializers.CharField(
        required=False, max_length=100, help_text="What belongs to it or its services."
    )
    service = serializers.CharField(required=False, max_length=200, help_text="The service's own.")
    unused = serializers.BooleanField(
        required=False, help_text="Only those that no service has used and no chart sends."
    )


class KnownSecret(SecretHead):
    """A secret, and to whom it belongs."""

    project = serializers.SerializerMethodField()
    service = serializers.CharField(source="service.name", default=None, allow_null=True)

    def get_project(self, secret: Any) -> str | None:
        """Its project's name, or that of its service."""
        owner = secret.project or (secret.service and secret.service.project)
        return owner.name if owner else None


class SecretValue(serializers.Serializer):
    """A secret's new value: any JSON value."""

    value = AnyJson(write_only=True, allow_null=True)
