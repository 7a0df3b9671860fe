"""Projects and their syncs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris_web.api.serializers.fields import OPTIONAL, JsonObject, Text, Time
from ferris_web.catalog.models import SyncRun as SyncRunRow

SYNC_STATUSES = SyncRunRow.Status.choices


class Repository(serializers.Serializer):
    """Where a project's folders come from."""

    id = serializers.IntegerField()
    source = serializers.CharField()
    branch = Text()
    folder = Text()
    public_key = Text(help_text="Its deploy key: give it to the repository's host.")
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


class Taken(serializers.Serializer):
    """A service of another project, whose name a folder would need."""

    service = serializers.CharField()
    project = serializers.CharField()


def taken() -> Taken:
    """The field of what was added or changed."""
    return Taken(
        many=True,
        help_text="Folders that a sync will refuse: services of other projects have their names. Of a folder of the "
        "server; of a git URL the sync tells it.",
    )


class ProjectAdded(Project):
    """The project, and what will be in the way of its new repository."""

    taken = taken()


class ProjectIn(serializers.Serializer):
    """A new project, or another repository of one, and what opens that."""

    name = serializers.CharField(max_length=100)
    source = serializers.CharField(max_length=1000, help_text="A folder of the server, or a git URL.")
    branch = serializers.CharField(max_length=255, help_text="Empty: the default branch.", **OPTIONAL)
    folder = serializers.CharField(
        max_length=500, help_text="The folder inside it that holds the services.", **OPTIONAL
    )
    token = serializers.CharField(max_length=2000, help_text="Of an https URL.", write_only=True, **OPTIONAL)
    username = serializers.CharField(
        max_length=200, help_text="Of the token; `git` without.", write_only=True, **OPTIONAL
    )
    own_key = serializers.BooleanField(
        default=False,
        help_text="Make a deploy key for an ssh URL, whose public half is in the answer; otherwise the keys of the "
        "user who runs the platform open it.",
    )


class ProjectRemoved(serializers.Serializer):
    """What became of its services."""

    deactivated = serializers.ListField(
        child=serializers.CharField(), help_text="Services that are triggered no more; their history is kept."
    )


class SyncMessage(serializers.Serializer):
    """What a sync says about one service's folder."""

    service = serializers.CharField()
    level = serializers.CharField()
    file = serializers.CharField()
    key = serializers.CharField()
    text = serializers.CharField()


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
