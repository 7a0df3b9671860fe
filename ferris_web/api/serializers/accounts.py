"""Members, service accounts, tokens and sessions, as the API shows and takes them."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris_web.accounts.models import SCOPES, ApiToken, Membership, Role, User
from ferris_web.api.serializers.fields import Text, Time


class ProjectMember(serializers.Serializer):
    """A person or a group with a role in a project."""

    kind = serializers.SerializerMethodField()
    name = serializers.SerializerMethodField()
    role = serializers.ChoiceField(Role.choices)
    created_at = Time()

    @extend_schema_field({"type": "string", "enum": ["user", "group"]})
    def get_kind(self, row: Membership) -> str:
        return "user" if row.user_id else "group"

    @extend_schema_field({"type": "string"})
    def get_name(self, row: Membership) -> str:
        return row.user.get_username() if row.user else str(row.group)


class MemberIn(serializers.Serializer):
    """The role to give."""

    role = serializers.ChoiceField(Role.choices)


class Token(serializers.Serializer):
    """A token, known by its first characters. It is shown once, when it is made."""

    id = serializers.IntegerField(source="pk")
    prefix = serializers.CharField()
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    projects = serializers.SerializerMethodField(help_text="Only for these; null: as its owner.")
    created_at = Time()
    last_used_at = Time(allow_null=True)
    expires_at = Time(allow_null=True)

    @extend_schema_field({"type": ["array", "null"], "items": {"type": "string"}})
    def get_projects(self, row: ApiToken) -> list[str] | None:
        return None if row.every_project else sorted(project.name for project in row.projects.all())


class TokenMade(serializers.Serializer):
    """A new token, in this answer and nowhere else ever again."""

    token = serializers.CharField()


class TokenIn(serializers.Serializer):
    """What a token is for."""

    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField([(scope, scope) for scope in SCOPES]),
        allow_empty=False,
        default=list(SCOPES),
    )
    projects = serializers.ListField(
        child=serializers.CharField(), required=False, allow_empty=False, help_text="Only for these, by name."
    )
    days = serializers.IntegerField(
        min_value=1,
        max_value=3650,
        required=False,
        help_text="After so many it expires; left out: never, or with the token that makes it.",
    )


class ServiceAccount(serializers.Serializer):
    """A program of a project."""

    name = serializers.CharField(source="username")
    role = serializers.SerializerMethodField()
    tokens = Token(source="api_tokens", many=True)
    created_at = Time(source="date_joined")

    @extend_schema_field({"type": "string"})
    def get_role(self, row: User) -> str:
        return next((str(one.role) for one in row.memberships.all()), "")


class ServiceAccountIn(serializers.Serializer):
    """A new one; its name gets `@` and the project's behind it."""

    name = serializers.CharField(max_length=50)
    role = serializers.ChoiceField(Role.choices)


class Session(serializers.Serializer):
    """A browser that is signed in."""

    id = serializers.IntegerField(source="pk")
    address = Text()
    agent = Text()
    created_at = Time()


class Members(serializers.Serializer):
    """All of a project."""

    results = ProjectMember(many=True)


class Tokens(serializers.Serializer):
    """All of them."""

    results = Token(many=True)


class ServiceAccounts(serializers.Serializer):
    """All of a project."""

    results = ServiceAccount(many=True)


class Sessions(serializers.Serializer):
    """Those that are open."""

    results = Session(many=True)
