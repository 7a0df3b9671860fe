"""Repositories of projects."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris.repositories import HostKey, host_keys, is_commit
from ferris_web.api.serializers.fields import Text, Time
from ferris_web.api.serializers.projects import SyncResult, taken
from ferris_web.catalog.models import Repository as RepositoryRow

_TEXT: dict[str, Any] = {"required": False, "default": "", "allow_blank": True}


class KeyOfHost(serializers.Serializer):
    """One key by which a host is known."""

    host = serializers.CharField()
    kind = serializers.CharField()
    fingerprint = serializers.CharField(help_text="As ssh shows it: `SHA256:...`.")


class ProjectRepository(serializers.Serializer):
    """Where a project's folders come from. What opens it is never shown, but for the public half of its key."""

    id = serializers.IntegerField()
    source = serializers.CharField()
    branch = Text(help_text="Empty: the default branch.")
    folder = Text(help_text="The folder inside it that holds the services.")
    public_key = Text(help_text="Its deploy key: give it to the repository's host.")
    has_token = serializers.SerializerMethodField()
    host_keys = serializers.SerializerMethodField(help_text="Pinned at the first use.")
    offered_host_keys = serializers.SerializerMethodField(
        help_text="What the host shows instead: nothing is fetched until one is accepted."
    )
    every_minutes = serializers.IntegerField(allow_null=True, help_text="Synced so often by itself.")
    next_sync_at = Time(allow_null=True)
    pinned = Text(help_text="The commit it is kept at, after a rollback.")
    commit = Text()
    synced_at = Time(allow_null=True)

    def get_has_token(self, row: RepositoryRow) -> bool:
        return any(one.kind == "token" for one in row.secrets.all())

    @extend_schema_field(KeyOfHost(many=True))
    def get_host_keys(self, row: RepositoryRow) -> Any:
        return _keys(host_keys(row.known_hosts))

    @extend_schema_field(KeyOfHost(many=True))
    def get_offered_host_keys(self, row: RepositoryRow) -> Any:
        return _keys(host_keys(row.offered_hosts))


class RepositorySaved(ProjectRepository):
    """The repository, and what will be in its way."""

    taken = taken()


def _keys(found: list[HostKey]) -> Any:
    return KeyOfHost(found, many=True).data


class Repositories(serializers.Serializer):
    """The repositories of a project, in the order they were added."""

    results = ProjectRepository(many=True)


class RepositoryChange(serializers.Serializer):
    """What is to be changed; the rest stays."""

    branch = serializers.CharField(max_length=255, required=False, allow_blank=True)
    folder = serializers.CharField(max_length=500, required=False, allow_blank=True)
    every_minutes = serializers.IntegerField(
        required=False, min_value=0, max_value=44640, help_text="Sync it so often; 0: only when asked for."
    )
    token = serializers.CharField(
        max_length=2000,
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="Empty removes the one there is.",
    )
    username = serializers.CharField(max_length=200, help_text="Of a new token.", write_only=True, **_TEXT)


class RepositoryIn(serializers.Serializer):
    """Another repository of a project."""

    source = serializers.CharField(max_length=1000, help_text="A git URL, or a folder of the server.")
    branch = serializers.CharField(max_length=255, **_TEXT)
    folder = serializers.CharField(max_length=500, **_TEXT)
    token = serializers.CharField(max_length=2000, help_text="Of an https URL.", write_only=True, **_TEXT)
    username = serializers.CharField(
        max_length=200, help_text="Of the token; `git` without.", write_only=True, **_TEXT
    )
    every_minutes = serializers.IntegerField(
        required=False,
        default=0,
        min_value=0,
        max_value=44640,
        help_text="Sync it so often; 0: only when asked for.",
    )
    own_key = serializers.BooleanField(
        default=True,
        help_text="Make a deploy key for an ssh URL; otherwise the keys of the user who runs the platform open it.",
    )


class Fingerprint(serializers.Serializer):
    """A host key that somebody looked at."""

    fingerprint = serializers.CharField(max_length=100)


class KeyOfRepository(serializers.Serializer):
    """The half of a deploy key that may be seen."""

    public_key = serializers.CharField(help_text="Give it to the repository's host.")
    made_at = Time()


class PushesTaken(serializers.Serializer):
    """Where pushes of a repository are taken. Their secret cannot be read."""

    address = serializers.CharField()
    made_at = Time(help_text="The secret.")


class PushSecret(serializers.Serializer):
    """What to give the host's webhook."""

    address = serializers.CharField()
    secret = serializers.CharField(help_text="Told this once.")


class RollbackIn(serializers.Serializer):
    """Where to."""

    commit = serializers.CharField(
        max_length=64, help_text="The whole id of a commit that was synced before."
    )


class PreviewIn(serializers.Serializer):
    """Of what."""

    repository = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="One of the project's; without it all of them, or those that have the branch.",
    )
    branch = serializers.CharField(
        max_length=255,
        required=False,
        allow_null=True,
        default=None,
        help_text="Without it the one that is followed.",
    )
    commit = serializers.CharField(max_length=64, help_text="Instead of a branch.", **_TEXT)

    def validate_commit(self, commit: str) -> str:
        if commit and not is_commit(commit):
            raise serializers.ValidationError("is no whole id of a commit")
        return commit


class Preview(serializers.Serializer):
    """What a sync of one repository would do."""

    repository = serializers.IntegerField(source="repository.pk")
    source = serializers.CharField(source="repository.source")
    branch = Text()
    commit = serializers.CharField(source="commit.id")
    author = serializers.CharField(source="commit.author")
    subject = serializers.CharField(source="commit.subject")
    clean = serializers.BooleanField(help_text="Nothing would be refused.")
    changes = serializers.BooleanField(help_text="Something would change.")
    result = serializers.SerializerMethodField()

    @extend_schema_field(SyncResult)
    def get_result(self, preview: Any) -> Any:
        return preview.result


class Previews(serializers.Serializer):
    """One for each repository."""

    previews = Preview(many=True)
