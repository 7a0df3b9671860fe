"""Administration of the catalog. What a synchronisation writes is read-only: the repository is where it is changed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ferris_web.accounts.admin_records import OnceAdmin, RecordAdmin, json_text, linked, list_link
from ferris_web.catalog import admin_notifications as admin_notifications  # registers its own
from ferris_web.catalog import admin_repository_secrets as admin_repository_secrets  # registers its own
from ferris_web.catalog import admin_runs as admin_runs  # registers its own
from ferris_web.catalog import admin_subscriptions as admin_subscriptions  # registers its own
from ferris_web.catalog import admin_values as admin_values  # likewise
from ferris_web.catalog import admin_webhooks as admin_webhooks  # registers its own
from ferris_web.catalog import services
from ferris_web.catalog.connections import connection_try, seal
from ferris_web.catalog.models import (
    Connection,
    EventMap,
    EventSchema,
    EventType,
    KeyValue,
    OutputEvent,
    Project,
    PromiseRule,
    Repository,
    Revision,
    Schedule,
    Secret,
    Service,
    ServiceHistory,
    ServiceVersion,
    SyncRun,
    Trigger,
    TriggerHistory,
)


class RepositoryInline(admin.TabularInline):
    """The repositories of a project, to look at."""

    model = Repository
    extra = 0
    can_delete = False
    readonly_fields = ("source", "branch", "commit", "synced_at")

    def has_add_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        """No: the console and `manage.py project add` check the source first."""
        return False


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    """Projects: only the description is changed here."""

    list_display = ("name", "description", "services", "created_at")
    search_fields = ("name", "description")
    readonly_fields = ("name", "created_at")
    inlines = (RepositoryInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        """With the number of services."""
        return super().get_queryset(request).annotate(_services=Count("services"))

    @admin.display(ordering="_services")
    def services(self, row: Project) -> SafeString:
        """How many, and where they are."""
        return list_link(str(row._services), "admin:catalog_service_changelist", project__id__exact=row.pk)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No: see RepositoryInline."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        """No: its services' history would have to go with it."""
        return False


@admin.register(Repository)
class RepositoryAdmin(RecordAdmin):
    """Where projects come from."""

    list_display = ("source", "branch", "its_project", "commit", "synced_at")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("source", "branch", "commit", "project__name")
    its_project = linked("project")


@admin.register(SyncRun)
class SyncRunAdmin(RecordAdmin):
    """Synchronisations and what they found."""

    list_display = ("started_at", "status", "its_repository", "commit", "subject", "actor", "finished_at")
    list_filter = ("status", "repository__project", "started_at")
    list_select_related = ("repository", "actor")
    search_fields = ("=commit", "subject", "author", "repository__source")
    exclude = ("result",)
    readonly_fields = ("its_repository", "found")
    its_repository = linked("repository")
    found = json_text("result")


@admin.register(Service)
class ServiceAdmin(RecordAdmin):
    """Services."""

    list_display = ("name", "its_project", "its_version", "active", "vanished_at", "priority", "updated_at")
    list_filter = ("active", ("vanished_at", admin.EmptyFieldListFilter), "priority", "project")
    list_select_related = ("project", "version__service")
    search_fields = ("name", "description")
    readonly_fields = ("its_project", "its_version", "more")
    its_project = linked("project")
    its_version = linked("version")

    @admin.display(description="related")
    def more(self, row: Service) -> SafeString:
        """Lists of what belongs to it."""
        return format_html(
            "{} · {} · {}",
            list_link("triggers", "admin:catalog_trigger_changelist", service__id__exact=row.pk),
            list_link("versions", "admin:catalog_serviceversion_changelist", service__id__exact=row.pk),
            list_link("executions", "admin:executions_execution_changelist", service__id__exact=row.pk),
        )


@admin.register(ServiceVersion)
class ServiceVersionAdmin(RecordAdmin):
    """Versions."""

    list_display = ("its_service", "number", "commit", "digest", "created_at")
    list_display_links = ("number",)
    list_select_related = ("service",)
    search_fields = ("=digest", "=commit", "service__name")
    exclude = ("manifest", "parameters", "files")
    readonly_fields = ("its_service", "manifest_text", "parameters_text", "files_text")
    its_service = linked("service")
    manifest_text = json_text("manifest", "manifest")
    parameters_text = json_text("parameters", "parameters")
    files_text = json_text("files", "files")


@admin.register(Trigger)
class TriggerAdmin(RecordAdmin):
    """Triggers."""

    list_display = ("event_type", "its_service", "has_filter")
    list_select_related = ("service",)
    search_fields = ("event_type", "service__name")
    exclude = ("filter",)
    readonly_fields = ("its_service", "filter_text", "cesql")
    its_service = linked("service")
    filter_text = json_text("filter", "filter")

    @admin.display(boolean=True, description="filter")
    def has_filter(self, row: Trigger) -> bool:
        """Whether it looks at more than the type."""
        return row.filter is not None or row.cesql is not None


class TriggerHistoryInline(admin.TabularInline):
    """The triggers of an entry of the history, to look at."""

    model = TriggerHistory
    extra = 0
    can_delete = False
    fields = readonly_fields = ("event_type", "filter", "cesql")

    def has_add_permission(self, request: HttpRequest, obj: ServiceHistory | None = None) -> bool:
        """No: what was is not changed."""
        return False


@admin.register(ServiceHistory)
class ServiceHistoryAdmin(RecordAdmin):
    """What services were, by revision of the catalog."""

    list_display = ("its_service", "since", "until", "its_version", "active", "vanished", "created_at")
    list_display_links = ("since",)
    list_select_related = ("service", "version__service")
    search_fields = ("service__name",)
    readonly_fields = ("its_service", "its_version")
    inlines = (TriggerHistoryInline,)
    its_service = linked("service")
    its_version = linked("version")


@admin.register(TriggerHistory)
class TriggerHistoryAdmin(RecordAdmin):
    """Triggers that services had."""

    list_display = ("event_type", "its_entry")
    list_select_related = ("entry__service",)
    search_fields = ("event_type", "entry__service__name")
    exclude = ("filter",)
    readonly_fields = ("its_entry", "filter_text", "cesql")
    its_entry = linked("entry")
    filter_text = json_text("filter", "filter")


@admin.register(OutputEvent)
class OutputEventAdmin(RecordAdmin):
    """Events that manifests say are sent."""

    list_display = ("event_type", "its_service")
    list_select_related = ("service",)
    search_fields = ("event_type", "service__name")
    its_service = linked("service")


@admin.register(EventType)
class EventTypeAdmin(admin.ModelAdmin):
    """Event types: description and tags are for people to write."""

    list_display = ("name", "description", "count", "last_seen_at")
    search_fields = ("name", "description")
    list_filter = ("last_seen_at",)
    exclude = ("example",)
    readonly_fields = (
        "name", "count", "first_seen_at", "last_seen_at", "schema_number", "schema_learned", "strict", "example_text",
    )  # fmt: skip
    example_text = json_text("example", "example")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No: they appear with the first event or manifest."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No: events of it are in the journal, and lists find them by it."""
        return False


@admin.register(EventMap)
class EventMapAdmin(RecordAdmin):
    """Event maps: made and removed in the console, where they are tested."""

    list_display = ("source", "target", "strategy", "created_by", "created_at")
    search_fields = ("source", "target")


@admin.register(EventSchema)
class EventSchemaAdmin(RecordAdmin):
    """Versions of what the data of event types look like."""

    list_display = ("event_type", "number", "breaking", "created_at")
    list_filter = ("breaking", "created_at")
    list_select_related = ("event_type",)
    search_fields = ("event_type__name",)


@admin.register(Secret)
class SecretAdmin(admin.ModelAdmin):
    """Names of secrets. A value is set in the console or by a script, and shown nowhere."""

    list_display = ("name", "scope", "its_project", "its_service", "synced", "updated_at")
    list_filter = ("scope", "synced", "project")
    list_select_related = ("project", "service")
    search_fields = ("name", "project__name", "service__name")
    fields = ("name", "scope", "its_project", "its_service", "synced", "updated_at")
    readonly_fields = fields
    its_project = linked("project")
    its_service = linked("service")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Secret]:
        """Without even the encrypted value."""
        return super().get_queryset(request).defer("ciphertext")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No: a value would have to be entered here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Secret | None = None) -> bool:
        """No: see above. Removing one is possible."""
        return False


class ConnectionForm(forms.ModelForm):
    """With the URL, which goes in and never comes out."""

    url = forms.CharField(
        required=False,
        max_length=2000,
        label="new URL",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "size": 80}),
        help_text="postgresql://user:password@host:5432/database or sqlite:////folder/file.db. "
        "Encrypted; empty keeps the one there is.",
    )

    def clean(self) -> dict[str, Any]:
        """A new one needs a URL, and each one that can be read."""
        said = super().clean() or self.cleaned_data
        if said.get("url"):
            seal(self.instance, said["url"])
        elif self.instance.pk is None:
            raise ValidationError({"url": ["is missing; a new connection needs one"]})
        return said


@admin.register(Connection)
class ConnectionAdmin(OnceAdmin):
    """Databases that .sql scripts may use."""

    form = ConnectionForm
    list_display = ("name", "shown", "read_only", "every_project", "updated_at")
    list_filter = ("read_only", "every_project", "projects")
    search_fields = ("name", "description", "shown")
    fields = ("name", "description", "shown", "url", "read_only", "every_project", "projects")
    readonly_fields = ("shown",)
    filter_horizontal = ("projects",)
    actions = ("test_them",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        """Without even the encrypted URL."""
        return super().get_queryset(request).defer("ciphertext")

    @admin.action(description="Test the chosen connections", permissions=["change"])
    def test_them(self, request: HttpRequest, rows: QuerySet[Connection]) -> None:
        """Connect from this process."""
        for row in rows:
            tried = connection_try(row)
            level = messages.SUCCESS if tried.ok else messages.ERROR
            self.message_user(request, f"{row.name}: {tried.text}", level)


@admin.register(Schedule)
class ScheduleAdmin(RecordAdmin):
    """Schedules: switched on and off here, changed where they come from."""

    list_display = ("its_service", "cron", "timezone", "active", "next_due_at", "last_due_at", "origin")
    list_display_links = ("cron",)
    list_filter = ("active", "origin", "once", "trigger_type")
    list_select_related = ("service",)
    search_fields = ("service__name", "name", "cron")
    exclude = ("parameters",)
    readonly_fields = ("its_service", "parameters_text")
    actions = ("switch_on", "switch_off")
    its_service = linked("service")
    parameters_text = json_text("parameters", "parameters")

    @admin.action(description="Switch on", permissions=["view"])
    def switch_on(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        """Let the clock run them again."""
        self._switch(request, rows, active=True)

    @admin.action(description="Switch off", permissions=["view"])
    def switch_off(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        """Keep the clock from running them."""
        self._switch(request, rows, active=False)

    def _switch(self, request: HttpRequest, rows: QuerySet[Schedule], *, active: bool) -> None:
        if not request.user.has_perm("catalog.change_schedule"):
            self.message_user(request, "You may not change schedules.", messages.ERROR)
            return
        now = timezone.now()
        for row in rows:
            services.schedule_switch(row, active=active, now=now)
        self.message_user(request, f"Switched {'on' if active else 'off'}: {len(rows)}.", messages.SUCCESS)


@admin.register(KeyValue)
class KeyValueAdmin(RecordAdmin):
    """Configuration and state by key, when no Consul holds them. Values are not listed: they may be long."""

    list_display = ("key", "modify_index", "updated_at")
    search_fields = ("key",)
    fields = ("key", "modify_index", "updated_at", "text")
    readonly_fields = ("text",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[KeyValue]:
        """Without the store's own counter, which has no key."""
        return super().get_queryset(request).exclude(key="")

    @admin.display(description="value")
    def text(self, row: KeyValue) -> SafeString:
        """The value as text."""
        return format_html("<pre>{}</pre>", bytes(row.value).decode("utf-8", "replace")[:100_000])


@admin.register(Revision)
class RevisionAdmin(RecordAdmin):
    """The catalog's revision."""

    list_display = ("number",)


@admin.register(PromiseRule)
class PromiseRuleAdmin(RecordAdmin):
    """Promises as projects make them. They are changed in ferris.json."""

    list_display = ("name", "project", "vanished_at")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("name",)
    exclude = ("rule",)
    readonly_fields = ("rule_text",)
    rule_text = json_text("rule", "rule")
