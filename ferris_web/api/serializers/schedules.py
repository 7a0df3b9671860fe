"""When services run by the clock."""

from __future__ import annotations

from rest_framework import serializers

from ferris_web.api.serializers.fields import OPTIONAL, JsonObject, Text, Time
from ferris_web.catalog.models import Schedule as ScheduleRow


class Schedule(serializers.Serializer):
    """When a service runs by the clock."""

    id = serializers.UUIDField()
    service = serializers.CharField(source="service.name")
    origin = serializers.ChoiceField(ScheduleRow.Origin.choices)
    name = Text(help_text="Event name the script sees.")
    schedule = serializers.CharField(source="cron")
    timezone = serializers.CharField()
    parameters = JsonObject()
    once = serializers.BooleanField()
    trigger_type = serializers.CharField()
    flow_id = Text(help_text="Its runs belong to this flow.")
    active = serializers.BooleanField()
    next_due_at = Time(allow_null=True)
    last_due_at = Time(allow_null=True)
    created_at = Time()


class ScheduleQuery(serializers.Serializer):
    """Which schedules."""

    service = serializers.CharField(help_text="A service's name.", **OPTIONAL)
    active = serializers.BooleanField(required=False, allow_null=True, default=None)


class ScheduleIn(serializers.Serializer):
    """A new schedule."""

    service = serializers.CharField()
    schedule = serializers.CharField(
        max_length=255, help_text="Cron, or `minute hour day month` for a single run."
    )
    timezone = serializers.CharField(max_length=64, required=False, default="UTC")
    name = serializers.CharField(max_length=512, required=False, default="", allow_blank=True)
    parameters = JsonObject(required=False, default=dict)


class ScheduleChange(serializers.Serializer):
    """Pause it, or let it go on."""

    active = serializers.BooleanField()
