"""Administration of charts: made, changed and removed in the console, and what they hold."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.executions.models import Chart, ChartEntry, ChartFeed, ChartSum


@admin.register(Chart)
class ChartAdmin(RecordAdmin):
    """What stands on a dashboard."""

    list_display = ("title", "its_project", "kind", "source", "position", "updated_at")
    list_filter = ("kind", "source")
    list_select_related = ("project",)
    search_fields = ("title", "event_type", "metric", "artifact")
    exclude = ("project", "service", "url")
    readonly_fields = ("its_project", "its_service")
    its_project = linked("project")
    its_service = linked("service")


@admin.register(ChartFeed)
class ChartFeedAdmin(RecordAdmin):
    """How far a chart has come."""

    list_display = ("chart", "counted", "left_out", "filled", "answered_at", "failing_since", "due_at")
    list_filter = ("filled",)
    list_select_related = ("chart",)
    search_fields = ("chart__title",)


@admin.register(ChartEntry)
class ChartEntryAdmin(RecordAdmin):
    """Events that are to be counted."""

    list_display = ("key",)


@admin.register(ChartSum)
class ChartSumAdmin(RecordAdmin):
    """Events added up."""

    list_display = ("chart", "span", "start", "group", "rest", "count", "total")
    list_filter = ("span",)
    list_select_related = ("chart",)
    search_fields = ("chart__title", "group")
