"""Administration of what scripts measure, added up."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.executions.models import MetricPoint, MetricRollup, MetricSeries


@admin.register(MetricSeries)
class MetricSeriesAdmin(RecordAdmin):
    """Lines of charts."""

    list_display = ("name", "its_service", "labels", "unit", "last_value", "last_at")
    list_select_related = ("service",)
    search_fields = ("name", "service__name")
    exclude = ("service",)
    readonly_fields = ("its_service",)
    its_service = linked("service")


@admin.register(MetricRollup)
class MetricRollupAdmin(RecordAdmin):
    """Sums of hours and days."""

    list_display = ("start", "span", "its_series", "count", "total", "least", "most")
    list_filter = ("span",)
    list_select_related = ("series",)
    search_fields = ("series__name",)
    exclude = ("series",)
    readonly_fields = ("its_series",)
    its_series = linked("series")


@admin.register(MetricPoint)
class MetricPointAdmin(RecordAdmin):
    """Values that were added up."""

    list_display = ("id", "taken_at")
