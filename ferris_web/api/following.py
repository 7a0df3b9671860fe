"""Who follows a stream of the REST API: asked again while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from ferris.errors import NotFound
from ferris_web.accounts.models import User
from ferris_web.accounts.services import SignedIn, bearer, token_user
from ferris_web.api.needs import NEEDS
from ferris_web.executions.visibility import check


class EventStreamRenderer(BaseRenderer):
    """Lets a client ask for `text/event-stream`; what it then gets is written by the stream itself."""

    media_type = "text/event-stream"
    format = "events"

    def render(self, data: Any, media: str | None = None, context: Mapping[str, Any] | None = None) -> bytes:
        return JSONRenderer().render(data, media, context)  # type: ignore[no-any-return]


def follows(request: Request) -> bool:
    """True for a request that wants what comes, too: by `follow=1` or by `Accept`."""
    asked = request.query_params.get("follow", "").lower() in ("1", "true", "yes")
    return asked or request.accepted_renderer.format == EventStreamRenderer.format


class Caller:
    """Who asked for a stream, and with which right."""

    def __init__(self, request: Request) -> None:
        match = request.resolver_match
        self.pk: int = request.user.pk
        self._need = getattr(match.func, "need", None) or NEEDS.get(match.url_name or "")
        self._named = dict(match.kwargs)
        self._token = bearer(request._request)
        self._signed_in = SignedIn(request._request)

    def now(self) -> User | None:
        """The user, read again, with what they may by now; None once they may not follow any more: the token was
        revoked, the session ended, the membership is gone. Touches the database."""
        user = token_user(self._token, datetime.now(UTC)) if self._token else self._signed_in.now()
        if user is None or user.pk != self.pk:
            return None
        try:
            check(user, self._need, "GET", self._named)
        except (NotFound, PermissionDenied):
            return None
        return user
