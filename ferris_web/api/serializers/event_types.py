"""Event types and what their data look like."""

from __future__ import annotations

from rest_framework import serializers

from ferris_web.api.serializers.fields import OPTIONAL, AnyJson, Time


class EventTypeQuery(serializers.Serializer):
    """Which event types."""

    query = serializers.CharField(help_text="Part of the name.", **OPTIONAL)


class EventType(serializers.Serializer):
    """An event type that was seen on the log or is named in a manifest."""

    name = serializers.CharField()
    description = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField()
    first_seen_at = Time(allow_null=True)
    last_seen_at = Time(allow_null=True)
    example = AnyJson(allow_null=True, help_text="The data of the first event of this type.")


class EventTypeVersion(serializers.Serializer):
    """One version of the schema of an event type."""

    number = serializers.IntegerField()
    created_at = Time()
    breaking = serializers.BooleanField(help_text="Data came that did not fit the version before.")
    changes = AnyJson(
        help_text="Against the version before: `path`, `kind` (added, type, missing), `before`, `after`."
    )
    consumers = AnyJson(help_text="Services that read a field that broke: `service`, `reads`, `through`.")
    event = AnyJson(source="sample", help_text="The event that made it: `key`, `id`, `source`.")
    schema = AnyJson(help_text="JSON Schema of the data.")


class Parties(serializers.Serializer):
    """Names of services: by their manifests, and with how many of the last events they were seen."""

    declared = serializers.ListField(child=serializers.CharField())
    observed = AnyJson()


class EventTypeDetail(EventType):
    """An event type with its schema, its versions and who takes part."""

    version = serializers.IntegerField(source="schema_number", help_text="0: no schema yet.")
    strict = serializers.BooleanField(
        help_text="Events that do not fit the schema go to the dead letters; over HTTP they are refused."
    )
    learning = serializers.BooleanField(help_text="True until enough samples made the first version.")
    schema = AnyJson(source="current", allow_null=True, help_text="JSON Schema of the data, as it holds now.")
    versions = EventTypeVersion(many=True, help_text="Newest first.")
    producers = Parties()
    consumers = Parties()
    sources = AnyJson(help_text="Where the last events from outside came from, and how many.")


class EventTypeChange(serializers.Serializer):
    """What an administrator decides about a type's schema."""

    strict = serializers.BooleanField(
        required=False,
        help_text="Enforce the schema as it is now, or no more. 409 while it is being learned.",
    )
    learn_anew = serializers.BooleanField(
        required=False, help_text="true: begin a version made of the events to come. 409 while it is strict."
    )
