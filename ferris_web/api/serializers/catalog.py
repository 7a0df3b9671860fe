"""Projects, services, their configuration and secrets, event types, schedules."""

from __future__ import annotations

import base64
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris_web.api.serializers.fields import AnyJson, JsonObject, Text, Time
from ferris_web.catalog.models import Schedule as ScheduleRow
from ferris_web.catalog.models import SyncRun as SyncRunRow

_OPTIONAL = {"required": False, "default": "", "allow_blank": True}
SYNC_STATUSES = SyncRunRow.Status.choices


class Trigger(serializers.Serializer):
    """An event type (exact, `prefix.*` or `*`) that makes the service run, and perhaps a filter."""

    event_type = serializers.CharField()
    filter = AnyJson(allow_null=True)


class Version(serializers.Serializer):
    """What a service was at one sync, or after one edit."""

    number = serializers.IntegerField()
    digest = serializers.CharField(help_text="SHA-256 of its archive.")
    commit = Text()
    author = Text(help_text="Of the commit; or the name of who saved it.")
    message = Text(help_text="The subject of the commit; or what was said with the save.")
    created_at = Time()


class ServiceHead(serializers.Serializer):
    """A service."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    project = serializers.CharField(source="project.name")
    description = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    active = serializers.BooleanField(help_text="As its manifest says.")
    runs = serializers.BooleanField(help_text="Events make it run: active, there, and with a version.")
    vanished_at = Time(allow_null=True, help_text="Its folder was gone at that sync.")
    paused_at = Time(allow_null=True, help_text="Since when its executions wait: somebody paused it.")
    paused_by = Text()
    slow_since = Time(
        allow_null=True, help_text="Its last runs were slow: it runs in the lane `slow` since then."
    )
    limits = JsonObject(help_text="`concurrency` and `rate`, as its manifest says; empty without.")
    precedence = JsonObject(
        help_text="`priority`: where in an event it is looked for; `fair_share`: the key whose values take turns."
    )
    priority = serializers.IntegerField()
    allow_manual_triggering = serializers.BooleanField()
    trigger_events = Trigger(source="triggers", many=True)
    version = Version(allow_null=True)
    created_at = Time()
    updated_at = Time()


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


class Service(ServiceHead):
    """A service with what its current version holds."""

    repository = serializers.CharField(source="repository.source", default=None, allow_null=True)
    output_events = serializers.SerializerMethodField(help_text="Types of the events it says it sends.")
    schedules = Schedule(many=True)
    manifest = JsonObject(source="version.manifest", default=None, allow_null=True)
    parameters = AnyJson(source="version.parameters", default=list)
    files = AnyJson(source="version.files", default=list)
    requirements = Text(source="version.requirements", default=None)
    readme = Text(source="version.readme", default=None)

    def get_output_events(self, service: Any) -> list[str]:
        return [output.event_type for output in service.output_events.all()]


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {
            "oneOf": [
                {"type": "string"},
                {"type": "object", "properties": {"base64": {"type": "string"}}, "required": ["base64"]},
            ]
        },
    }
)
class FilesByPath(serializers.DictField):
    """Files by path: each a text, or `{"base64": "..."}` for bytes of any kind."""

    child = serializers.JSONField()

    def to_internal_value(self, data: Any) -> dict[str, bytes]:
        found, wrong = {}, {}
        for path, said in super().to_internal_value(data).items():
            content = _content(said)
            if content is None:
                wrong[path] = ['expected a text, or {"base64": "..."}']
            else:
                found[path] = content
        if wrong:
            raise serializers.ValidationError(wrong)
        return found


def _content(said: Any) -> bytes | None:
    try:
        if isinstance(said, str):
            return said.encode()
        if isinstance(said, dict) and list(said) == ["base64"] and isinstance(said["base64"], str):
            return base64.b64decode(said["base64"], validate=True)
    except ValueError:  # half a surrogate, or no base64
        pass
    return None


class ServiceIn(serializers.Serializer):
    """A service made of files, or its next version."""

    project = serializers.CharField(max_length=100, help_text="Made when there is none of this name.")
    name = serializers.CharField(max_length=200)
    files = FilesByPath(
        allow_empty=False, help_text="All of its files: what is left out is not in it any more."
    )


class SecretUse(serializers.Serializer):
    """A service whose executions got a secret."""

    service = serializers.CharField(source="service.name")
    at = Time(help_text="The last time, to the minute.")
    execution = serializers.UUIDField()


class SecretChart(serializers.Serializer):
    """A chart that sends a secret as a header to its URL."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    header = serializers.CharField()
    asked_at = Time(source="feed.asked_at", allow_null=True, help_text="When it was sent last.")


class SecretHead(serializers.Serializer):
    """A secret's name. Its value is never shown."""

    name = serializers.CharField()
    scope = serializers.CharField()
    synced = serializers.BooleanField(help_text="It came from a secrets.json.")
    updated_at = Time()
    set_by = Text(help_text="The person, `secrets.json`, or the service whose script did.")
    set_execution = serializers.UUIDField(allow_null=True)
    services = serializers.IntegerField(help_text="How many services have used it.")
    used_by = SecretUse(many=True, help_text="The latest 20 of them, the last use in front.")
    charts = SecretChart(many=True, source="sent_by", help_text="Those that send it, of what you see.")


class KnownSecretsQuery(serializers.Serializer):
    """Which secrets."""

    q = serializers.CharField(required=False, max_length=255, help_text="A part of the name.")
    scope = serializers.ChoiceField(["service", "project", "platform"], required=False)
    project = serializers.CharField(
        required=False, max_length=100, help_text="What belongs to it or its services."
    )
    service = serializers.CharField(required=False, max_length=200, help_text="The service's own.")
    unused = serializers.BooleanField(
        required=False, help_text="Only those that no service has used and no chart sends."
    )


class KnownSecret(SecretHead):
    """A secret, and to whom it belongs."""

    project = serializers.SerializerMethodField()
    service = serializers.CharField(source="service.name", default=None, allow_null=True)

    def get_project(self, secret: Any) -> str | None:
        """Its project's name, or that of its service."""
        owner = secret.project or (secret.service and secret.service.project)
        return owner.name if owner else None


class SecretValue(serializers.Serializer):
    """A secret's new value: any JSON value."""

    value = AnyJson(write_only=True, allow_null=True)


# --- projects ----------------------------------------------------------------------------------------


class Repository(serializers.Serializer):
    """Where a project's folders come from."""

    source = serializers.CharField()
    branch = Text()
    commit = Text()
    synced_at = Time(allow_null=True)


class Project(serializers.Serializer):
    """A team's set of services."""

    name = serializers.CharField()
    description = serializers.CharField()
    repositories = Repository(many=True)
    service_count = serializers.IntegerField(help_text="Services not vanished.")
    synced_at = Time(allow_null=True)
    created_at = Time()


class ProjectIn(serializers.Serializer):
    """A new project, or another repository of one."""

    name = serializers.CharField(max_length=100)
    source = serializers.CharField(max_length=1000, help_text="A folder of the server, or a git URL.")
    branch = serializers.CharField(max_length=255, required=False, default="", allow_blank=True)


class SyncMessage(serializers.Serializer):
    """What a sync says about one service's folder."""

    service = serializers.CharField()
    level = serializers.CharField()
    file = serializers.CharField()
    key = serializers.CharField()
    text = serializers.CharField()


class ServiceMade(Service):
    """A service as an upload left it, and what was found in its files."""

    messages = SyncMessage(many=True)


class SyncResult(serializers.Serializer):
    """Names of services by what became of them."""

    added = serializers.ListField(child=serializers.CharField(), required=False)
    changed = serializers.ListField(child=serializers.CharField(), required=False)
    removed = serializers.ListField(child=serializers.CharField(), required=False)
    unchanged = serializers.ListField(child=serializers.CharField(), required=False)
    refused = serializers.ListField(child=serializers.CharField(), required=False)
    messages = SyncMessage(many=True, required=False)
    services = JsonObject(
        required=False,
        help_text="What is different, by service: `triggers` (gained, lost), `manifest` (key, before, after), `files`.",
    )


class SyncIn(serializers.Serializer):
    """How to sync."""

    wait = serializers.BooleanField(
        default=True, help_text="False: answer at once with 202; `…/syncs/{id}/` says how far it is."
    )


class SyncRun(serializers.Serializer):
    """One synchronisation of one repository."""

    id = serializers.IntegerField()
    project = serializers.CharField(source="repository.project.name")
    source = serializers.CharField(source="repository.source")
    status = serializers.ChoiceField(SYNC_STATUSES)
    cause = serializers.ChoiceField(SyncRunRow.Cause.choices, help_text="`person`: somebody asked for it.")
    progress = JsonObject(help_text="While it runs: `phase` (fetching, reading, saving), `done`, `total`.")
    started_at = Time()
    finished_at = Time(allow_null=True)
    commit = Text()
    author = Text()
    subject = Text()
    error = Text()
    result = serializers.SerializerMethodField()

    @extend_schema_field(SyncResult)
    def get_result(self, run: SyncRunRow) -> Any:
        return run.result


class SyncRuns(serializers.Serializer):
    """A run for each repository of the project."""

    runs = SyncRun(many=True)


# --- event types and schedules -----------------------------------------------------------------------


class EventTypeQuery(serializers.Serializer):
    """Which event types."""

    query = serializers.CharField(help_text="Part of the name.", **_OPTIONAL)


class EventType(serializers.Serializer):
    """An event type that was seen on the log or is named in a manifest."""

    name = serializers.CharField()
    description = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField()
    first_seen_at = Time(allow_null=True)
    last_seen_at = Time(allow_null=True)
    example = AnyJson(allow_null=True, help_text="The data of the first event of this type.")


class EventTypeVersion(serializers.Serializer):
    """One version of the schema of an event type."""

    number = serializers.IntegerField()
    created_at = Time()
    breaking = serializers.BooleanField(help_text="Data came that did not fit the version before.")
    changes = AnyJson(
        help_text="Against the version before: `path`, `kind` (added, type, missing), `before`, `after`."
    )
    consumers = AnyJson(help_text="Services that read a field that broke: `service`, `reads`, `through`.")
    event = AnyJson(source="sample", help_text="The event that made it: `key`, `id`, `source`.")
    schema = AnyJson(help_text="JSON Schema of the data.")


class Parties(serializers.Serializer):
    """Names of services: by their manifests, and with how many of the last events they were seen."""

    declared = serializers.ListField(child=serializers.CharField())
    observed = AnyJson()


class EventTypeDetail(EventType):
    """An event type with its schema, its versions and who takes part."""

    version = serializers.IntegerField(source="schema_number", help_text="0: no schema yet.")
    strict = serializers.BooleanField(
        help_text="Events that do not fit the schema go to the dead letters; over HTTP they are refused."
    )
    learning = serializers.BooleanField(help_text="True until enough samples made the first version.")
    schema = AnyJson(source="current", allow_null=True, help_text="JSON Schema of the data, as it holds now.")
    versions = EventTypeVersion(many=True, help_text="Newest first.")
    producers = Parties()
    consumers = Parties()
    sources = AnyJson(help_text="Where the last events from outside came from, and how many.")


class EventTypeChange(serializers.Serializer):
    """What an administrator decides about a type's schema."""

    strict = serializers.BooleanField(
        required=False,
        help_text="Enforce the schema as it is now, or no more. 409 while it is being learned.",
    )
    learn_anew = serializers.BooleanField(
        required=False, help_text="true: begin a version made of the events to come. 409 while it is strict."
    )


class ScheduleQuery(serializers.Serializer):
    """Which schedules."""

    service = serializers.CharField(help_text="A service's name.", **_OPTIONAL)
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


class SavedRun(serializers.Serializer):
    """Parameters that are kept under a name."""

    name = serializers.CharField()
    parameters = JsonObject(source="values")
    saved_by = serializers.CharField()
    saved_at = Time()
