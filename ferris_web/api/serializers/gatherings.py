"""Gatherings: what waits between events and executions, and what came of it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris_web.api.serializers.fields import OPTIONAL, JsonObject, Text, Time
from ferris_web.executions.gathered import Part
from ferris_web.executions.models import GATHERED, GATHERING_STATES, KINDS


class GatheringQuery(serializers.Serializer):
    """Which gatherings."""

    service = serializers.CharField(help_text="A service's name.", **OPTIONAL)
    kind = serializers.ChoiceField(KINDS, required=False, default="")
    state = serializers.ChoiceField(GATHERING_STATES, required=False, default="")
    key = serializers.CharField(help_text="The key, exactly.", **OPTIONAL)


class Gathering(serializers.Serializer):
    """What is open for one service and key, or was."""

    id = serializers.UUIDField()
    service = serializers.CharField(source="service.name")
    project = serializers.CharField(source="service.project.name")
    kind = serializers.ChoiceField(KINDS, help_text="The rule of the manifest.")
    key = serializers.CharField(help_text="Empty: one for all events.")
    state = serializers.ChoiceField(
        GATHERING_STATES,
        help_text="`ran`: it became the execution; `expired`: a join was not complete in time; `met`: what an absence "
        "awaited came; `due`, `told`: it did not come, and an event says so; `over`: its window has ended; "
        "`discarded`: by hand, nothing ran.",
    )
    rule = JsonObject(help_text="The rule as it was when an event last touched it. Times are seconds.")
    size = serializers.IntegerField(help_text="How many events are in it: gathered, joined, or left out.")
    held = serializers.IntegerField(help_text="How many of them a throttle still holds back.")
    opened_at = Time()
    due_at = Time(allow_null=True, help_text="When the clock closes it, or lets the next event through.")
    until = Time(allow_null=True, help_text="When the window of deduplicate or throttle ends.")
    closed_at = Time(allow_null=True)
    closed_by = Text(help_text="Who closed or discarded it before its time; empty: nobody.")
    execution_id = serializers.UUIDField(allow_null=True, help_text="What it became.")


class Member(serializers.Serializer):
    """An event, and what was decided about it."""

    key = serializers.UUIDField(source="event.key")
    id = serializers.CharField(source="event.event_id")
    source = serializers.CharField(source="event.source")
    type = serializers.CharField(source="event.type")
    subject = Text(source="event.subject")
    time = Time(source="event.time")
    flow_id = serializers.CharField(source="event.flow_id")
    arrived_at = Time(source="at", help_text="When it came onto the log.")
    decision = serializers.ChoiceField(GATHERED)
    execution_id = serializers.UUIDField(allow_null=True, help_text="Of one that was held: its own.")


class Discarded(serializers.Serializer):
    """What was left out."""

    events = serializers.IntegerField(help_text="How many events that waited in it run nothing.")


class JoinPart(serializers.Serializer):
    """One entry of a join."""

    entry = serializers.CharField(source="name", help_text="Its place in the manifest.")
    event_type = serializers.CharField(source="entry.event_type")
    came = serializers.SerializerMethodField(help_text="The event that fills it; null: it is missing.")

    @extend_schema_field(
        {
            "type": ["object", "null"],
            "properties": {
                "key": {"type": "string", "format": "uuid"},
                "id": {"type": "string"},
                "type": {"type": "string"},
            },
            "required": ["key", "id", "type"],
        }
    )
    def get_came(self, part: Part) -> dict[str, Any] | None:
        row = part.event
        return None if row is None else {"key": str(row.key), "id": row.event_id, "type": row.type}


class GatheringDetail(Gathering):
    """A gathering with its first 500 events, and what a join still misses."""

    first_event = serializers.UUIDField(
        source="first_event_id", help_text="The key of the event that opened it."
    )
    parts = JoinPart(many=True, help_text="Of a join: what came, and what is missing.")
    events = Member(many=True, source="found")
