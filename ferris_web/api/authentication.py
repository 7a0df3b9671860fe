"""Bearer tokens of people's programs: `Authorization: Bearer ferris_...` (RFC 6750 section 2.1)."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from ferris_web.accounts.models import User
from ferris_web.accounts.services import bearer, token_user

REALM = 'Bearer realm="ferris"'


class TokenAuthentication(BaseAuthentication):
    """Knows the user by an API token. A request without one is left to the next way (the session)."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        """The user and the token; AuthenticationFailed for a token that is unknown, expired or disabled."""
        token = bearer(request)
        if token is None:
            return None
        user = token_user(token, datetime.now(UTC))
        if user is None:
            raise AuthenticationFailed("The token is unknown, has expired, or its user is disabled.")
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return REALM


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the API's schema describes it."""

    target_class = "ferris_web.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from `manage.py token USER`.",
        }


def known_user(request: HttpRequest) -> User | None:
    """Who calls a plain view: by token, else by session."""
    token = bearer(request)
    if token is not None:
        return token_user(token, datetime.now(UTC))
    return request.user if isinstance(request.user, User) and request.user.is_active else None
