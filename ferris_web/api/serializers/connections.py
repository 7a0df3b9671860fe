"""Database connections, as the API shows and takes them."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris_web.api.serializers.fields import Text, TextIn, Time
from ferris_web.catalog.models import Connection as Row


class Connection(serializers.Serializer):
    """A database that .sql scripts may use."""

    name = serializers.CharField()
    description = Text()
    url = serializers.SerializerMethodField(
        help_text="With … for its password; null for who is no administrator."
    )
    read_only = serializers.BooleanField()
    every_project = serializers.BooleanField()
    projects = serializers.SerializerMethodField(help_text="Names of the projects that may use it.")
    created_at = Time()
    updated_at = Time()

    @extend_schema_field({"type": ["string", "null"]})
    def get_url(self, connection: Row) -> str | None:
        return connection.shown if self.context.get("manages") else None

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_projects(self, connection: Row) -> list[str]:
        return [project.name for project in connection.projects.all()]


class ConnectionIn(serializers.Serializer):
    """What to set of a connection; what is left out stays. A new one needs a URL."""

    url = serializers.CharField(
        max_length=2000,
        required=False,
        write_only=True,
        help_text="postgresql://user:password@host:5432/database or sqlite:////folder/file.db. As it is shown, with … "
        "for its password, it stays as it is.",
    )
    description = TextIn(max_length=300)
    read_only = serializers.BooleanField(required=False)
    every_project = serializers.BooleanField(required=False)
    projects = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Names of projects."
    )


class ConnectionTried(serializers.Serializer):
    """What came of a test."""

    ok = serializers.BooleanField()
    text = serializers.CharField()
