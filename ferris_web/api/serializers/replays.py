"""Replays, and the missed runs of schedules."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ferris_web.api.serializers.fields import OPTIONAL, JsonObject, Time
from ferris_web.executions.models import Replay as ReplayRow

REPLAY_STATUSES = ReplayRow.Status.choices


class ReplayRequest(serializers.Serializer):
    """Which events, and where to."""

    service = serializers.CharField(
        help_text="The one service they go to, by name; left out: to all that listen.", **OPTIONAL
    )
    event_type = serializers.CharField(
        required=False, default="*", max_length=512, help_text="Exact, `prefix.*` or `*`."
    )
    filter = JsonObject(required=False, default=None, help_text="A filter, as a trigger has it.")
    cesql = serializers.CharField(help_text="Instead of a filter: an expression.", **OPTIONAL)
    flow_id = serializers.CharField(help_text="Only events of this flow.", **OPTIONAL)
    derived = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Also events that executions sent. Left out: true into one service, false to all, where the "
        "executions that are caused send them anew.",
    )
    since = Time(help_text="Taken in then or later.")
    until = Time(required=False, help_text="Taken in before; now if left out.")
    rate = serializers.FloatField(
        required=False,
        default=0,
        min_value=0,
        help_text="Events per second; 0: as fast as they are taken up.",
    )

    def validate_filter(self, value: Any) -> Any:
        if value is not None and not isinstance(value, dict):
            raise serializers.ValidationError("expected an object")
        return value


class ReplayStart(ReplayRequest):
    """The same, to begin with."""

    count = serializers.BooleanField(
        default=False,
        help_text="Count its events first, for 15 seconds at most; all of them are its `expected` then.",
    )


class ReplayQuery(serializers.Serializer):
    """Which replays."""

    status = serializers.ChoiceField(REPLAY_STATUSES, required=False)


class Replay(serializers.Serializer):
    """A replay, and how far it has come."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(REPLAY_STATUSES)
    service = serializers.CharField(source="service.name", allow_null=True, default=None)
    event_type = serializers.CharField()
    filter = JsonObject(allow_null=True)
    cesql = serializers.CharField(allow_null=True)
    flow_id = serializers.CharField(allow_blank=True)
    derived = serializers.BooleanField()
    since = Time()
    until = Time()
    rate = serializers.FloatField()
    expected = serializers.IntegerField(allow_null=True, help_text="As counted before it began.")
    read = serializers.IntegerField(help_text="Events looked at.")
    sent = serializers.IntegerField(help_text="Events sent again.")
    created_by = serializers.CharField(allow_blank=True)
    created_at = Time()
    finished_at = Time(allow_null=True)


class Outcome(serializers.Serializer):
    """What its events came to."""

    routed = serializers.IntegerField(help_text="Of its events, those that the router has taken in.")
    executions = serializers.DictField(child=serializers.IntegerField(), help_text="By status.")


class ReplayDetail(Replay):
    """A replay with what came of it."""

    outcome = Outcome()


class ReplaySample(serializers.Serializer):
    """An event that would be sent."""

    id = serializers.CharField()
    type = serializers.CharField()
    source = serializers.CharField()
    time = Time()


class ReplayPreview(serializers.Serializer):
    """How many events it would send."""

    events = serializers.IntegerField()
    flows = serializers.IntegerField()
    read = serializers.IntegerField(help_text="Events looked at.")
    first = Time(allow_null=True)
    last = Time(allow_null=True)
    complete = serializers.BooleanField(help_text="False: there was no time to look at all of them.")
    samples = ReplaySample(many=True)


class GapQuery(serializers.Serializer):
    """Over which time."""

    since = Time(required=False, help_text="A week ago, or when the schedule was made, if left out.")
    until = Time(required=False, help_text="Now if left out.")


class Gaps(serializers.Serializer):
    """Due times that made no run."""

    since = Time()
    until = Time(help_text="Up to here all are listed.")
    times = serializers.ListField(child=Time())
    complete = serializers.BooleanField(help_text="False: there are more after `until`.")


class BackfillRequest(serializers.Serializer):
    """Which due times."""

    times = serializers.ListField(child=Time(), allow_empty=False, max_length=1000)


class BackfillRun(serializers.Serializer):
    """A run that was asked for."""

    due = Time(source="time")
    id = serializers.CharField(help_text="The event's id.")
    correlation_id = serializers.CharField(source="flow_id")


class Backfilled(serializers.Serializer):
    """The runs, by due time."""

    results = BackfillRun(many=True)
