"""Figures of executions over a time."""

from __future__ import annotations

from rest_framework import serializers

from ferris_web.api.serializers.fields import Number, Time
from ferris_web.executions.figures import FIRST, PERIODS


class DashboardQuery(serializers.Serializer):
    """Which time."""

    range = serializers.ChoiceField(
        list(PERIODS),
        required=False,
        default=FIRST,
        error_messages={"invalid_choice": f"must be one of {', '.join(PERIODS)}"},
        help_text="Up to now: the current hour or day is the last one.",
    )


class Spread(serializers.Serializer):
    """How long something took, in milliseconds. Percentiles are right to within a tenth."""

    count = serializers.IntegerField()
    average = Number(allow_null=True)
    p50 = Number(allow_null=True)
    p95 = Number(allow_null=True)
    most = serializers.IntegerField()


class Span(serializers.Serializer):
    """The executions that were made in one hour or day (UTC), as they stand now."""

    start = Time()
    end = Time()
    outcomes = serializers.DictField(child=serializers.IntegerField(), source="statuses")
    trigger_types = serializers.DictField(
        child=serializers.IntegerField(), source="triggers", help_text="Of those that have ended."
    )
    took = Spread()
    waited = Spread(help_text="From creation to the first start.")


class LaneWait(Spread):
    """How long executions waited in one lane."""

    lane = serializers.CharField()


class ServiceFigures(serializers.Serializer):
    """How often a service ran, and how long it took."""

    service = serializers.CharField(source="name")
    count = serializers.IntegerField()
    failed = serializers.IntegerField()
    average_ms = Number(allow_null=True, help_text="Of those that completed.")
    most_ms = serializers.IntegerField()


class Dashboard(serializers.Serializer):
    """What ran in a time, how it ended and how long it took."""

    range = serializers.CharField()
    span = serializers.ChoiceField(["hour", "day"])
    since = Time()
    until = Time()
    outcomes = serializers.DictField(child=serializers.IntegerField(), help_text="Executions by status.")
    trigger_types = serializers.DictField(child=serializers.IntegerField())
    took = Spread()
    waited = Spread()
    lanes = LaneWait(many=True)
    frequent = ServiceFigures(many=True, help_text="The services that ran most often.")
    slowest = ServiceFigures(many=True, help_text="Those that took longest on average.")
    spans = Span(many=True)
