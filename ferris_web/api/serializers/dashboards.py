"""Figures of executions over a time."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris_web.api.serializers.fields import Number, Time
from ferris_web.executions.figures import FIRST, PERIODS
from ferris_web.executions.metrics import Recorded


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
    """How often a service ran, how often it failed, and how long it took."""

    service = serializers.CharField(source="name")
    count = serializers.IntegerField()
    completed = serializers.IntegerField()
    failed = serializers.IntegerField()
    failed_share = Number(
        source="failed_part",
        allow_null=True,
        help_text="From 0 to 1, of those that ran to an end: completed and failed ones.",
    )
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
    failing = ServiceFigures(many=True, help_text="Those that failed most often.")
    spans = Span(many=True)


class MetricSpan(serializers.Serializer):
    """The values recorded in one hour or day (UTC)."""

    start = Time()
    count = serializers.IntegerField()
    sum = Number(source="total")
    least = Number()
    most = Number()
    last = Number(source="last_value")


class Metric(serializers.Serializer):
    """The values of one name with the same labels."""

    name = serializers.CharField(source="series.name")
    labels = serializers.DictField(child=serializers.CharField(), source="series.labels")
    unit = serializers.CharField(source="series.unit", allow_blank=True)
    last = Number(source="series.last_value")
    last_at = Time(source="series.last_at")
    spans = serializers.SerializerMethodField(help_text="Those in which something was recorded.")

    @extend_schema_field(MetricSpan(many=True))
    def get_spans(self, found: Recorded) -> list[dict[str, object]]:
        return [dict(MetricSpan(row).data) for row in found.spans if row is not None]


class Metrics(serializers.Serializer):
    """What a service recorded in a time."""

    range = serializers.CharField()
    span = serializers.ChoiceField(["hour", "day"])
    since = Time()
    results = Metric(many=True)
