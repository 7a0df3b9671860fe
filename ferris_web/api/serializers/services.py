"""Services, their versions and saved runs."""

from __future__ import annotations

import base64
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris_web.api.serializers.fields import AnyJson, JsonObject, Text, Time
from ferris_web.api.serializers.projects import SyncMessage
from ferris_web.api.serializers.schedules import Schedule


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


class ServiceMade(Service):
    """A service as an upload left it, and what was found in its files."""

    messages = SyncMessage(many=True)


class SavedRun(serializers.Serializer):
    """Parameters that are kept under a name."""

    name = serializers.CharField()
    parameters = JsonObject(source="values")
    saved_by = serializers.CharField()
    saved_at = Time()
