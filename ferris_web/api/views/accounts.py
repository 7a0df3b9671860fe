"""Members and service accounts of a project; one's own tokens and sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts import members, services
from ferris_web.accounts.models import User
from ferris_web.accounts.permissions import reach
from ferris_web.api.answers import encode
from ferris_web.api.incoming import actor_of, body_of
from ferris_web.api.preconditions import tag_of
from ferris_web.api.serializers import accounts as shapes
from ferris_web.catalog.models import Project
from ferris_web.catalog.selectors import project_get

_ONCE = {"Cache-Control": "no-store"}


class MemberList(APIView):
    """Members of a project."""

    @extend_schema(summary="Its members", responses=shapes.Members, operation_id="members_list")
    def get(self, request: Request, name: str) -> Response:
        return Response(
            {"results": shapes.ProjectMember(members.member_list(project_get(name).pk), many=True).data}
        )


class MemberDetail(APIView):
    """One member: `user` or `group`, and a name."""

    @extend_schema(summary="One member and their role", responses=shapes.ProjectMember)
    def get(self, request: Request, name: str, kind: str, member: str) -> Response:
        return Response(shapes.ProjectMember(members.member_get(project_get(name).pk, kind, member)).data)

    @extend_schema(
        summary="Make somebody a member, or give another role",
        description="For owners. 409 when it would leave the project without an owner.",
        request=shapes.MemberIn,
        responses={204: None},
    )
    def put(self, request: Request, name: str, kind: str, member: str) -> Response:
        project, role = project_get(name), body_of(request, shapes.MemberIn, shapes.ProjectMember)["role"]
        members.member_set(project.pk, kind, member, role)
        return Response(status=204)

    @extend_schema(
        summary="Take somebody's role away",
        description="For owners. 409 for the last owner who can sign in.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, name: str, kind: str, member: str) -> Response:
        members.member_remove(project_get(name).pk, kind, member)
        return Response(status=204)


class ServiceAccountList(APIView):
    """Service accounts of a project: programs with tokens and no password."""

    @extend_schema(
        summary="Its service accounts",
        responses=shapes.ServiceAccounts,
        operation_id="projects_service_accounts_list",
    )
    def get(self, request: Request, name: str) -> Response:
        found = services.service_account_list(project_get(name).pk)
        return Response({"results": shapes.ServiceAccount(found, many=True).data})

    @extend_schema(
        summary="Make a service account",
        description="For owners. Its name gets `@` and the project's behind it.",
        request=shapes.ServiceAccountIn,
        responses={201: shapes.ServiceAccount},
    )
    def post(self, request: Request, name: str) -> Response:
        project, given = project_get(name), body_of(request, shapes.ServiceAccountIn)
        made = services.service_account_add(project.pk, project.name, given["name"], given["role"])
        return Response(shapes.ServiceAccount(made).data, status=201)


class ServiceAccountDetail(APIView):
    """One service account."""

    @extend_schema(summary="One service account, with its tokens", responses=shapes.ServiceAccount)
    def get(self, request: Request, name: str, account: str) -> Response:
        return _shown(shapes.ServiceAccount(_account(name, account)).data)

    @extend_schema(summary="Remove it, and end its tokens", request=None, responses={204: None})
    def delete(self, request: Request, name: str, account: str) -> Response:
        services.service_account_remove(project_get(name).pk, account)
        return Response(status=204)


class ServiceAccountTokens(APIView):
    """Tokens of a service account."""

    @extend_schema(
        summary="Its tokens, newest first",
        responses=shapes.Tokens,
        operation_id="projects_service_accounts_tokens_list",
    )
    def get(self, request: Request, name: str, account: str) -> Response:
        found = services.token_list(_account(name, account))
        return Response({"results": shapes.Token(found, many=True).data})

    @extend_schema(
        summary="Make a token for it",
        description="For owners. The token is in this answer and nowhere else ever again.",
        request=shapes.TokenIn,
        responses={201: shapes.TokenMade},
    )
    def post(self, request: Request, name: str, account: str) -> Response:
        return _made(request, _account(name, account))


class ServiceAccountToken(APIView):
    """One token of a service account."""

    @extend_schema(summary="One token; it is never shown again", responses=shapes.Token)
    def get(self, request: Request, name: str, account: str, number: int) -> Response:
        return _shown(shapes.Token(services.token_get(_account(name, account), number)).data)

    @extend_schema(summary="End it at once", request=None, responses={204: None})
    def delete(self, request: Request, name: str, account: str, number: int) -> Response:
        services.token_revoke(_account(name, account), number)
        return Response(status=204)


class TokenList(APIView):
    """One's own tokens."""

    @extend_schema(summary="Your tokens, newest first", responses=shapes.Tokens, operation_id="tokens_list")
    def get(self, request: Request) -> Response:
        return Response({"results": shapes.Token(services.token_list(actor_of(request)), many=True).data})

    @extend_schema(
        summary="Make a token",
        description="It may do what you may, within its scopes (`read`, `run`, `write`, `admin`) and projects. It is "
        "in this answer and nowhere else ever again. A token makes others only with the scope `admin`, and none that "
        "may more or lasts longer than itself.",
        request=shapes.TokenIn,
        responses={201: shapes.TokenMade},
    )
    def post(self, request: Request) -> Response:
        return _made(request, actor_of(request))


class TokenDetail(APIView):
    """One of one's own tokens."""

    @extend_schema(summary="One of your tokens; it is never shown again", responses=shapes.Token)
    def get(self, request: Request, number: int) -> Response:
        return _shown(shapes.Token(services.token_get(actor_of(request), number)).data)

    @extend_schema(summary="End it at once", request=None, responses={204: None})
    def delete(self, request: Request, number: int) -> Response:
        services.token_revoke(actor_of(request), number)
        return Response(status=204)


def _account(project: str, name: str) -> User:
    return services.service_account_get(project_get(project).pk, name)


def _shown(said: dict[str, Any]) -> Response:
    """With a tag that stays while a token is only used, be it for this very request."""
    return Response(said, headers={"ETag": tag_of(encode(_lasting(said)))})


def _lasting(said: Any) -> Any:
    if isinstance(said, dict):
        return {name: _lasting(value) for name, value in said.items() if name != "last_used_at"}
    return [_lasting(one) for one in said] if isinstance(said, list) else said


def _made(request: Request, user: User) -> Response:
    given: dict[str, Any] = body_of(request, shapes.TokenIn)
    projects = None
    if "projects" in given:
        seen = (
            Project.objects.all()
            if (own := reach(request.user)) is None
            else Project.objects.filter(pk__in=own)
        )
        found = dict(seen.filter(name__in=given["projects"]).values_list("name", "pk"))
        missing = [name for name in given["projects"] if name not in found]
        if missing:
            raise ValidationError({"projects": f"there is no project {missing[0]!r}"})
        projects = list(found.values())
    token = services.token_create_by(
        actor_of(request),
        given["name"],
        now=datetime.now(UTC),
        user=user,
        days=given.get("days"),
        scopes=given["scopes"],
        projects=projects,
    )
    return Response({"token": token}, status=201, headers=_ONCE)


class SessionList(APIView):
    """Where one is signed in."""

    @extend_schema(
        summary="Your sessions, newest first", responses=shapes.Sessions, operation_id="sessions_list"
    )
    def get(self, request: Request) -> Response:
        found = services.session_list(actor_of(request), datetime.now(UTC))
        return Response({"results": shapes.Session(found, many=True).data})


class SessionDetail(APIView):
    """One of one's own sessions."""

    @extend_schema(summary="One of your sessions", responses=shapes.Session)
    def get(self, request: Request, number: int) -> Response:
        found = services.session_get(actor_of(request), number, datetime.now(UTC))
        return Response(shapes.Session(found).data)

    @extend_schema(summary="End it", request=None, responses={204: None})
    def delete(self, request: Request, number: int) -> Response:
        services.session_end(actor_of(request), number)
        return Response(status=204)
