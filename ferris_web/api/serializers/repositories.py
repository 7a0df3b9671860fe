"""Repositories of projects."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris.repositories import HostKey, host_keys
from ferris_web.api.serializers.fields import Text, Time
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


def _keys(found: list[HostKey]) -> Any:
    return KeyOfHost(found, many=True).data


class Repositories(serializers.Serializer):
    """The repositories of a project, in the order they were added."""

    results = ProjectRepository(many=True)


class RepositoryChange(serializers.Serializer):
    """What is to be changed; the rest stays."""

    branch = serializers.CharField(max_length=255, required=False, allow_blank=True)
    folder = serializers.CharField(max_length=500, required=False, allow_blank=True)
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
    own_key = serializers.BooleanField(
        default=True,
        help_text="Make a deploy key for an ssh URL; otherwise the keys of the user who runs the platform open it.",
    )


class Fingerprint(serializers.Serializer):
    """A host key that somebody looked at."""

    fingerprint = serializers.CharField(max_length=100)
