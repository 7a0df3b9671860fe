"""Who follows a stream of the REST API: asked again while it runs, and no more streams than one should need."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import StreamingHttpResponse
from rest_framework.exceptions import Throttled
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from ferris.errors import NotFound
from ferris_web import sse
from ferris_web.accounts.models import User
from ferris_web.accounts.services import SignedIn, bearer, token_user
from ferris_web.api.needs import NEEDS
from ferris_web.executions.visibility import check

MOST_OF_ONE: Final = 50
"""Streams that one user may have open at once, in one web process: each holds a connection and what waits for it."""

_open: Counter[int] = Counter()
_lock = threading.Lock()


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


def answer(
    caller: Caller, messages: AsyncIterator[bytes], leave: Callable[[], None]
) -> StreamingHttpResponse:
    """The answer that carries these messages; `leave` is called once it has ended, however it did. Throttled."""
    with _lock:
        if _open[caller.pk] >= MOST_OF_ONE:
            leave()
            raise Throttled(wait=5, detail=f"{MOST_OF_ONE} streams are open already: end some of them.")
        _open[caller.pk] += 1
    ended = threading.Event()

    def end() -> None:
        with _lock:
            if ended.is_set():
                return
            ended.set()
            _open[caller.pk] -= 1
            if not _open[caller.pk]:
                del _open[caller.pk]
        leave()

    response = sse.response(_until_ended(messages, end))
    response._resource_closers.append(end)  # should nobody ever read it
    return response


async def _until_ended(messages: AsyncIterator[bytes], end: Callable[[], None]) -> AsyncIterator[bytes]:
    try:
        async with aclosing(messages) as found:  # type: ignore[type-var]
            async for message in found:
                yield message
    finally:
        end()
