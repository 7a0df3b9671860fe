"""Administration of what happened: everything is found and read here, nothing is changed."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ferris_web.accounts.admin_records import RecordAdmin, json_text, linked, list_link
from ferris_web.executions import admin_charts as admin_charts  # registers its own
from ferris_web.executions import admin_deliveries as admin_deliveries  # likewise
from ferris_web.executions import admin_metrics as admin_metrics  # likewise
from ferris_web.executions import admin_notifications as admin_notifications  # likewise
from ferris_web.executions import admin_rollups as admin_rollups  # likewise
from ferris_web.executions import admin_views as admin_views  # likewise
from ferris_web.executions.models import (
    Artifact,
    BulkJob,
    DeadLetter,
    Event,
    Execution,
    Flow,
    Gate,
    GatheredEvent,
    Gathering,
    LanePause,
    Pace,
    Promise,
    Replay,
    Step,
    Worker,
)


def _flow_link(flow_id: str) -> SafeString:
    url = reverse("admin:executions_flow_change", args=[quote(flow_id)])
    return format_html('<a href="{}">{}</a>', url, flow_id)


@admin.register(Flow)
class FlowAdmin(RecordAdmin):
    """Flows."""

    list_display = ("id", "root_type", "sequence", "started_at", "last_event_at")
    list_filter = ("started_at",)
    search_fields = ("=id", "=root_type")
    readonly_fields = ("more",)

    @admin.display(description="related")
    def more(self, row: Flow) -> SafeString:
        """Lists of what belongs to it."""
        return format_html(
            "{} · {}",
            list_link("events", "admin:executions_event_changelist", q=row.pk),
            list_link("executions", "admin:executions_execution_changelist", q=row.pk),
        )


@admin.register(Event)
class EventAdmin(RecordAdmin):
    """Events."""

    list_display = ("type", "source", "subject", "flow", "matched", "copies", "received_at")
    list_filter = ("received_at",)
    search_fields = ("=event_id", "=flow_id", "=type", "=key")
    search_help_text = "An event's id or key, a flow's id, or a type, in full."
    exclude = ("data", "extensions")
    readonly_fields = ("flow", "data_text", "extensions_text", "runs")
    data_text = json_text("data", "data")
    extensions_text = json_text("extensions", "extensions")

    @admin.display(description="flow", ordering="flow_id")
    def flow(self, row: Event) -> SafeString:
        """Its flow."""
        return _flow_link(row.flow_id)

    @admin.display(description="executions")
    def runs(self, row: Event) -> SafeString:
        """What it made run."""
        return list_link("executions", "admin:executions_execution_changelist", event__key__exact=row.pk)


class StepInline(admin.TabularInline):
    """The steps of an execution."""

    model = Step
    extra = 0
    can_delete = False
    show_change_link = True
    fields = (
        "attempt",
        "index",
        "script",
        "status",
        "started_at",
        "finished_at",
        "exit_code",
        "signal",
        "error",
        "exit_reason",
        "wall_ms",
        "cpu_ms",
        "memory_bytes",
        "output_bytes",
    )
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        """No: executors report them."""
        return False


@admin.register(Execution)
class ExecutionAdmin(RecordAdmin):
    """Executions."""

    list_display = (
        "correlation_id",
        "its_service",
        "status",
        "trigger_type",
        "created_at",
    )
    list_filter = ("status", "trigger_type", "lane", "reason", "created_at")
    list_select_related = ("service",)
    search_fields = ("=correlation_id", "=flow_id", "=id", "=service__name")
    search_help_text = "A correlation, flow or execution id, or a service's name, in full."
    readonly_fields = ("its_service", "its_version", "its_event", "flow", "parent")
    inlines = (StepInline,)
    its_service = linked("service")
    its_version = linked("version")
    its_event = linked("event")

    @admin.display(description="flow")
    def flow(self, row: Execution) -> SafeString:
        """Its flow."""
        return _flow_link(row.flow_id)

    @admin.display(description="parent")
    def parent(self, row: Execution) -> SafeString | str:
        """The execution whose event made it run."""
        if row.parent_id is None:
            return "-"
        url = reverse("admin:executions_execution_change", args=[row.parent_id])
        return format_html('<a href="{}">{}</a>', url, row.parent_id)


@admin.register(Step)
class StepAdmin(RecordAdmin):
    """Steps."""

    list_display = ("script", "its_execution", "attempt", "index", "status", "exit_code", "started_at")
    list_filter = ("status",)
    list_select_related = ("execution__service",)
    search_fields = ("=execution__id", "=script")
    readonly_fields = ("its_execution",)
    its_execution = linked("execution")


@admin.register(Artifact)
class ArtifactAdmin(RecordAdmin):
    """Files that steps left behind."""

    list_display = ("name", "its_execution", "script", "content_type", "size", "created_at")
    list_select_related = ("execution__service",)
    search_fields = ("=execution__id", "=name")
    readonly_fields = ("its_execution",)
    its_execution = linked("execution")


@admin.register(DeadLetter)
class DeadLetterAdmin(RecordAdmin):
    """Records that could not be handled. The console sends one again."""

    list_display = ("reason", "topic", "partition", "offset", "event_type", "detail", "created_at")
    list_filter = ("reason", "topic", "created_at")
    search_fields = ("=event_id", "=flow_id", "=event_type", "detail")
    exclude = ("value",)
    readonly_fields = ("text",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Without the bytes, which only the page of one shows."""
        return super().get_queryset(request).defer("value")

    @admin.display(description="value")
    def text(self, row: DeadLetter) -> SafeString:
        """The record as text."""
        return format_html("<pre>{}</pre>", bytes(row.value).decode("utf-8", "replace")[:100_000])


@admin.register(BulkJob)
class BulkJobAdmin(RecordAdmin):
    """Bulk jobs. The console begins and stops them."""

    list_display = ("created_at", "status", "action", "listing", "done", "expected", "created_by")
    list_filter = ("status", "created_at")
    list_select_related = ("created_by",)
    search_fields = ("=id", "=created_by__username")
    exclude = ("filter",)
    readonly_fields = ("filter_text",)
    filter_text = json_text("filter", "filter")


@admin.register(Replay)
class ReplayAdmin(RecordAdmin):
    """Replays. The console begins and stops them."""

    list_display = ("created_at", "status", "event_type", "its_service", "sent", "expected", "created_by")
    list_filter = ("status", "created_at")
    list_select_related = ("service",)
    search_fields = ("=id", "=event_type", "=flow_id", "=created_by")
    exclude = ("filter",)
    readonly_fields = ("its_service", "filter_text")
    its_service = linked("service")
    filter_text = json_text("filter", "filter")


@admin.register(Gathering)
class GatheringAdmin(RecordAdmin):
    """What flow control keeps between events and executions."""

    list_display = ("kind", "key", "its_service", "state", "size", "opened_at", "due_at", "closed_at")
    list_display_links = ("kind", "key")
    list_filter = ("kind", "state", "opened_at")
    list_select_related = ("service",)
    search_fields = ("=id", "=execution_id", "=key", "service__name")
    exclude = ("rule", "first_event", "last_event", "passes")
    readonly_fields = ("its_service", "rule_text", "its_first_event", "its_last_event")
    its_service = linked("service")
    its_first_event = linked("first_event")
    its_last_event = linked("last_event")
    rule_text = json_text("rule", "rule")


@admin.register(GatheredEvent)
class GatheredEventAdmin(RecordAdmin):
    """What flow control made of an event."""

    list_display = ("decision", "its_event", "its_service", "at")
    list_filter = ("decision", "at")
    list_select_related = ("event", "service")
    search_fields = ("=gathering__id", "=event__event_id", "service__name")
    exclude = ("gathering", "event", "service")
    readonly_fields = ("its_gathering", "its_event", "its_service")
    its_gathering = linked("gathering")
    its_event = linked("event")
    its_service = linked("service")


@admin.register(Worker)
class WorkerAdmin(RecordAdmin):
    """Executors. The console drains them."""

    list_display = ("name", "slots", "started_at", "seen_at", "stops", "drain_at")
    search_fields = ("name",)


@admin.register(LanePause)
class LanePauseAdmin(RecordAdmin):
    """Lanes that are paused. The console resumes them."""

    list_display = ("lane", "paused_at", "paused_by")


@admin.register(Gate)
class GateAdmin(RecordAdmin):
    """Services whose executions are admitted one by one."""

    list_display = ("its_service", "opens_at")
    list_display_links = ("opens_at",)
    list_select_related = ("service",)
    search_fields = ("service__name",)
    readonly_fields = ("its_service",)
    its_service = linked("service")


@admin.register(Pace)
class PaceAdmin(RecordAdmin):
    """How long the last runs of services took of which one was slow lately."""

    list_display = ("its_service", "last_seconds")
    list_display_links = ("last_seconds",)
    list_select_related = ("service",)
    search_fields = ("service__name",)
    readonly_fields = ("its_service",)
    its_service = linked("service")


@admin.register(Promise)
class PromiseAdmin(RecordAdmin):
    """What events have promised, and whether it was kept."""

    list_display = ("its_rule", "state", "flow", "its_event", "given_at", "due_at", "answered_at")
    list_filter = ("state", "given_at")
    list_select_related = ("rule__project", "event")
    search_fields = ("=id", "=flow_id", "=rule__name")
    its_rule = linked("rule")
    its_event = linked("event")

    @admin.display(description="flow", ordering="flow_id")
    def flow(self, row: Promise) -> SafeString:
        """Its flow."""
        return _flow_link(row.flow_id)
