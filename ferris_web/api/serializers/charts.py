"""Charts that people define, as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ferris import chart_sums, charts, pushing
from ferris_web.accounts.permissions import Action, access_of
from ferris_web.api.serializers.dashboards import DashboardQuery
from ferris_web.api.serializers.fields import AnyJson, ExplainedChoice, JsonObject, Number, Text, Time
from ferris_web.executions.models import Chart as Row

CHART_KINDS = [(kind, kind) for kind in charts.KINDS]
CHART_SOURCES = Row.Source.choices
CHART_WIDTHS = Row.Width.choices
CHART_PERIODS = Row.Period.choices
CHART_AGGREGATES = [(one, one) for one in chart_sums.AGGREGATES]


class ChartQuery(serializers.Serializer):
    """Which charts."""

    project = serializers.CharField(required=False, default="")


class ChartDataQuery(DashboardQuery):
    """Which time, for a chart that has none of its own, and in which form."""

    format = serializers.ChoiceField(["json", "csv"], required=False, default="json")


class ChartFields(serializers.Serializer):
    """What may be said of a chart; of where it comes from, what belongs to its source."""

    title = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(max_length=300, required=False, allow_blank=True)
    kind = serializers.ChoiceField(CHART_KINDS, required=False)
    width = serializers.ChoiceField(CHART_WIDTHS, required=False)
    period = serializers.ChoiceField(
        CHART_PERIODS, required=False, allow_blank=True, help_text="Empty: as the dashboard that it is on."
    )
    unit = serializers.CharField(max_length=20, required=False, allow_blank=True)
    source = ExplainedChoice(CHART_SOURCES, required=False)
    event_type = serializers.CharField(max_length=512, required=False, allow_blank=True)
    filter = JsonObject(required=False, allow_null=True, help_text="As in a manifest's trigger_events.")
    cesql = serializers.CharField(
        max_length=4000, required=False, allow_blank=True, help_text="Instead of a filter."
    )
    aggregate = serializers.ChoiceField(CHART_AGGREGATES, required=False)
    value_path = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="Where the number is: data.total."
    )
    group_path = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="What it is grouped by: data.shop."
    )
    groups_shown = serializers.IntegerField(required=False, min_value=1, max_value=chart_sums.MOST_SHOWN)
    service = serializers.CharField(max_length=200, required=False, allow_null=True)
    metric = serializers.CharField(max_length=100, required=False, allow_blank=True)
    artifact = serializers.CharField(max_length=255, required=False, allow_blank=True)
    url = serializers.CharField(max_length=pushing.MAX_URL, required=False, allow_blank=True)
    every_minutes = serializers.IntegerField(required=False, min_value=1, max_value=1440)
    header = serializers.CharField(max_length=100, required=False, allow_blank=True)
    header_secret = serializers.CharField(
        max_length=255, required=False, allow_blank=True, help_text="The name of the secret that it carries."
    )


class ChartIn(ChartFields):
    """What to set of a chart; what is left out stays."""

    past = serializers.BooleanField(
        required=False, default=True, help_text="Count the journal's past too, when it begins anew."
    )


class ChartNew(ChartIn):
    """A new chart."""

    project = serializers.CharField(allow_null=True, help_text="Null: of the platform.")
    title = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(CHART_KINDS)
    source = ExplainedChoice(CHART_SOURCES)


class ChartTry(ChartFields):
    """A chart that is not saved."""

    project = serializers.CharField(allow_null=True, help_text="Null: of the platform.")
    title = serializers.CharField(max_length=100, required=False, default="")
    kind = serializers.ChoiceField(CHART_KINDS)
    source = ExplainedChoice(CHART_SOURCES)
    range = DashboardQuery().fields["range"]


class ChartOrder(serializers.Serializer):
    """The order of a dashboard's charts."""

    project = serializers.CharField(allow_null=True, help_text="Null: of the platform.")
    charts = serializers.ListField(child=serializers.UUIDField(), max_length=200)


class Chart(serializers.Serializer):
    """A chart on the dashboard of a project, or (null) of the platform."""

    id = serializers.UUIDField()
    project = serializers.CharField(source="project.name", default=None, allow_null=True)
    position = serializers.IntegerField()
    title = serializers.CharField()
    description = serializers.CharField()
    kind = serializers.ChoiceField(CHART_KINDS)
    width = serializers.ChoiceField(CHART_WIDTHS)
    period = serializers.ChoiceField(CHART_PERIODS, allow_blank=True)
    unit = serializers.CharField()
    source = ExplainedChoice(CHART_SOURCES)
    event_type = serializers.CharField()
    filter = AnyJson(allow_null=True)
    cesql = serializers.CharField()
    aggregate = serializers.ChoiceField(CHART_AGGREGATES)
    value_path = serializers.CharField()
    group_path = serializers.CharField()
    groups_shown = serializers.IntegerField()
    service = serializers.CharField(source="service.name", default=None, allow_null=True)
    metric = serializers.CharField()
    artifact = serializers.CharField()
    url = serializers.SerializerMethodField(
        help_text="Null for who may not change the chart: an address may be as good as a password."
    )
    every_minutes = serializers.IntegerField()
    header = serializers.CharField()
    header_secret = serializers.CharField()
    created_by = serializers.CharField()
    created_at = Time()
    updated_at = Time()

    def get_url(self, row: Row) -> str | None:
        request = self.context["request"]
        return row.url if access_of(request.user).may(Action.EDIT, row.project_id) else None


class ChartSeries(serializers.Serializer):
    """One line, colour, column or row: a value for each label."""

    name = serializers.CharField()
    values = serializers.ListField(child=AnyJson(allow_null=True))


class ChartData(serializers.Serializer):
    """What a chart shows now. `labels`, `series` and `unit` are chart JSON."""

    title = serializers.CharField(source="row.title")
    kind = serializers.ChoiceField(CHART_KINDS, source="row.kind")
    range = serializers.CharField(source="period.name")
    unit = serializers.CharField(source="drawn.unit")
    labels = serializers.ListField(child=serializers.CharField(), source="drawn.labels")
    series = ChartSeries(many=True, source="drawn.series")
    answered_at = Time(source="of", allow_null=True, help_text="When the shown answer came.")
    problem = Text(help_text="Why there is nothing newer.")
    failing_since = Time(allow_null=True)
    filled = Number(
        allow_null=True, help_text="The part of the past that is counted by now; null: all that is to be."
    )
    left_out = serializers.IntegerField(help_text="Events that had no number at the path.")


def as_given(said: dict[str, Any]) -> dict[str, Any]:
    """What the domain takes of a body: all but whose it is and when."""
    return {name: value for name, value in said.items() if name not in ("project", "past", "range")}
