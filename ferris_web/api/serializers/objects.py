"""The object store and the system map."""

from __future__ import annotations

from rest_framework import serializers

from ferris_web.api.pagination import MOST
from ferris_web.api.serializers.fields import Page, Text, Time


class Bucket(serializers.Serializer):
    """One bucket."""

    name = serializers.CharField()


class StoredObject(serializers.Serializer):
    """One object."""

    key = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    content_type = serializers.CharField(allow_blank=True)
    modified_at = Time(source="modified")
    url = serializers.URLField(help_text="Where its content is.")


class BucketPage(Page):
    """All buckets."""

    results = Bucket(many=True)


class ObjectPage(Page):
    """A page of a bucket."""

    results = StoredObject(many=True)


class MapService(serializers.Serializer):
    """A service of the map."""

    name = serializers.CharField()
    project = serializers.CharField()


class MapBond(serializers.Serializer):
    """A service sends an event type, or the type triggers it."""

    service = serializers.CharField()
    kind = serializers.ChoiceField(["sends", "triggers"])
    event_type = serializers.CharField(help_text="A type, or a pattern without a known type.")
    declared = serializers.BooleanField(help_text="In a manifest.")
    seen = serializers.IntegerField(help_text="How often among the latest executions and events.")
    state = serializers.ChoiceField(["both", "declared", "seen"])


class SystemMap(Page):
    """Services, and what binds them to event types."""

    services = MapService(many=True)
    bonds = MapBond(many=True)


class MapQuery(serializers.Serializer):
    """Which part of the map."""

    project = Text(
        required=False, help_text="A project's name: its services, and those that share an event type."
    )
    limit = serializers.IntegerField(
        required=False,
        help_text=f"Services per page, at most {MOST}, which is what holds if it is not given.",
    )
    cursor = Text(
        required=False, help_text="Where a page begins: taken from `next` or `previous` of another page."
    )
