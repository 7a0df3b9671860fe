"""Administration of what dashboards, histograms, groups of failures and the system map are made of."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.executions.models import Binding, BindingsMark, FailureKind, Rollup, Standing, Tally


class _OfServices(RecordAdmin):
    list_select_related = ("project", "service")
    search_fields = ("service__name",)
    exclude = ("project", "service")
    readonly_fields = ("its_project", "its_service")
    its_project = linked("project")
    its_service = linked("service")


@admin.register(Rollup)
class RollupAdmin(_OfServices):
    """Sums of hours and days."""

    list_display = (
        "start", "span", "its_project", "its_service", "status", "trigger_type", "lane", "count",
    )  # fmt: skip
    list_filter = ("span", "status", "trigger_type", "lane")


@admin.register(Standing)
class StandingAdmin(_OfServices):
    """How services stand in a period."""

    list_display = (
        "period",
        "its_service",
        "its_project",
        "count",
        "completed",
        "failed",
        "mean_ms",
        "oldest",
    )
    list_filter = ("period",)


@admin.register(FailureKind)
class FailureKindAdmin(_OfServices):
    """Executions that failed alike."""

    list_display = ("last_at", "its_service", "its_project", "reason", "error")
    list_filter = ("reason",)


@admin.register(Tally)
class TallyAdmin(RecordAdmin):
    """How many events and flows there were in each hour."""

    list_display = ("listing", "start", "outcome", "count")
    list_filter = ("listing", "outcome")


@admin.register(Binding)
class BindingAdmin(RecordAdmin):
    """What binds services to event types."""

    list_display = ("its_service", "kind", "event_type", "declared", "seen", "pattern")
    list_filter = ("kind", "declared")
    list_select_related = ("service",)
    search_fields = ("service__name", "event_type")
    exclude = ("service",)
    readonly_fields = ("its_service",)
    its_service = linked("service")


@admin.register(BindingsMark)
class BindingsMarkAdmin(RecordAdmin):
    """What the bindings are of."""

    list_display = ("revision", "at")
