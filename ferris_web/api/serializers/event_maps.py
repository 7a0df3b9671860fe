"""Event maps, as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris.event_maps import MAPPED, STRATEGIES
from ferris_web.api.serializers.fields import AnyJson, JsonObject, Time
from ferris_web.catalog.models import EventMap as Row


class EventMapIn(serializers.Serializer):
    """A map, as users write it."""

    map = AnyJson(help_text="First the types, then the fields: each source to its target.")
    strategy = serializers.ChoiceField(STRATEGIES, default=MAPPED)
    constants = JsonObject(required=False, default=dict, help_text="Target field to value.")
    templates = JsonObject(
        required=False, default=dict, help_text="Target field to text with {source.field}."
    )


class EventMap(serializers.Serializer):
    """A map that holds."""

    id = serializers.IntegerField()
    map = serializers.SerializerMethodField()
    strategy = serializers.ChoiceField(STRATEGIES)
    constants = AnyJson()
    templates = AnyJson()
    created_by = serializers.CharField()
    created_at = Time()

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_map(self, row: Row) -> Any:
        return {row.source: row.target, **row.fields}


class EventMapTrial(serializers.Serializer):
    """What a map would make of one past event."""

    event = serializers.CharField(help_text="Its key.")
    before = AnyJson()
    after = AnyJson()


class EventMapTrials(serializers.Serializer):
    """What a map would make of the last events of its source type, newest first."""

    events = EventMapTrial(many=True)
