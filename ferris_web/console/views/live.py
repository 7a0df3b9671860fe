"""Streams that keep open pages fresh: that something changed, and the lines of one execution's log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.utils import translation

from ferris.config import CHANGES
from ferris.errors import NotFound
from ferris.ports import LogLine
from ferris_web import live, sse
from ferris_web.accounts.permissions import Action
from ferris_web.accounts.services import SignedIn
from ferris_web.console import filters, logs, presentation
from ferris_web.console.log_lines import log_lines
from ferris_web.executions.log_following import follow_lines, in_thread
from ferris_web.executions.models import Execution
from ferris_web.executions.settling import Mark, flow_settled
from ferris_web.executions.visibility import allow

# A stream ends after this and the browser opens a new one.
LONGEST_SECONDS = 900.0
# So often, while there are lines, whoever reads them is asked for again: signed out, disabled or no member any more.
ASKED_SECONDS = 1.0
_GATHER_SECONDS = 0.2  # changes that come close together are told once
_RETRY = b"retry: 3000\n\n"
_CHANGED = sse.message("", event="changed")


def changes(request: HttpRequest) -> HttpResponseBase:
    """Says `changed` when executions changed: all of them, or of one `flow`, or one `execution`. That a script
    has come further counts among all of them only: the page of one gets it with its lines. With `rolled`, also when
    the roll-ups that dashboards show have changed.

    Of a flow it says so once more when it has come to rest: its last events may have run nothing.
    """
    execution = filters.text(request.GET, "execution", 40)
    flow = filters.text(request.GET, "flow")
    if execution:
        allow(request.user, Action.VIEW, "execution", _uuid(execution))
        return _answer(request, live.subscribe(execution=execution))
    if flow:
        allow(request.user, Action.VIEW, "flow", flow)
        return _answer(request, live.subscribe(flow=flow), flow)
    return _answer(request, live.subscribe(topics=(CHANGES,)), progress=True, rolled="rolled" in request.GET)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"there is no execution {text!r}") from None


def _answer(
    request: HttpRequest,
    subscription: live.Subscription,
    flow: str = "",
    *,
    progress: bool = False,
    rolled: bool = False,
) -> HttpResponseBase:
    return _stream(request, _changes(subscription, flow, progress, rolled), subscription)


def _stream(
    request: HttpRequest, messages: AsyncIterator[bytes], subscription: live.Subscription
) -> HttpResponseBase:
    """429 for a person who has too many: the page says that it is not live, and tries again later."""
    try:
        return sse.response(messages, int(request.user.pk), subscription.close)
    except sse.TooManyStreams as error:
        return HttpResponse(
            str(error), status=429, content_type="text/plain; charset=utf-8", headers={"Retry-After": "60"}
        )


async def _changes(
    subscription: live.Subscription, flow: str, progress: bool, rolled: bool
) -> AsyncIterator[bytes]:
    deadline = time.monotonic() + LONGEST_SECONDS
    rest = _Rest(flow)
    with subscription:
        yield _RETRY
        while time.monotonic() < deadline:
            if await rest.reached():
                yield _CHANGED
            elif await _changed(
                subscription, _GATHER_SECONDS if rest.near else sse.PING_SECONDS, progress, rolled
            ):
                rest.moved()
                yield _CHANGED
                await asyncio.sleep(_GATHER_SECONDS)
            elif not rest.near:
                yield sse.PING


class _Rest:
    """Whether a flow has come to rest since it was last seen to move."""

    def __init__(self, flow: str) -> None:
        self._flow = flow
        self._watching = bool(flow)  # the page may have been drawn in the middle of it
        self._seen_moving = False
        self._mark: Mark | None = None

    @property
    def near(self) -> bool:
        """All its executions have ended; what they sent may still be on its way: ask again in a moment."""
        return self._mark is not None

    def moved(self) -> None:
        """An execution of it changed."""
        self._watching = self._seen_moving = bool(self._flow)

    async def reached(self) -> bool:
        """True once after it was seen to move."""
        if not self._watching:
            return False
        settled, self._mark = await in_thread(flow_settled, self._flow, self._mark)
        if not settled:
            self._seen_moving = True
            return False
        told, self._mark, self._watching, self._seen_moving = self._seen_moving, None, False, False
        return told


async def _changed(subscription: live.Subscription, seconds: float, progress: bool, rolled: bool) -> bool:
    """Wait for a change of a row; False when there was none for so long."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            found = await subscription.get(left)
        except live.Overrun:
            return True
        changes = (n.value for n in found if n.topic == CHANGES)
        if any(rolled if said.get("rolled") else progress or not said.get("progress") for said in changes):
            return True
    return False


def execution_log(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The lines behind `after` that fit the filter, as they come; `end` once the execution has ended."""
    if not Execution.objects.filter(pk=pk).exists():
        raise NotFound(f"there is no execution {pk}")
    given = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    after = int(given) if given.isdecimal() and len(given) < 19 else 0
    subscription = live.subscribe(execution=str(pk))
    wanted = logs.Wanted.from_query(request.GET)
    reader = _Reader(request, pk)
    lines = _lines(str(pk), after, wanted, subscription, translation.get_language(), reader)
    return _stream(request, lines, subscription)


class _Reader:
    """Whether the one who reads a log still may."""

    def __init__(self, request: HttpRequest, execution: UUID) -> None:
        self._signed_in = SignedIn(request)
        self._execution = execution
        self._again = time.monotonic() + ASKED_SECONDS

    async def stays(self) -> bool:
        """False once they may not, found out at most `ASKED_SECONDS` late."""
        if time.monotonic() < self._again:
            return True
        self._again = time.monotonic() + ASKED_SECONDS
        return await in_thread(self._may)

    def _may(self) -> bool:
        user = self._signed_in.now()
        try:
            allow(user, Action.VIEW, "execution", self._execution)
        except (NotFound, PermissionDenied):
            return False
        return True


async def _lines(
    pk: str,
    after: int,
    wanted: logs.Wanted,
    subscription: live.Subscription,
    language: str,
    reader: _Reader,
) -> AsyncIterator[bytes]:
    deadline = time.monotonic() + LONGEST_SECONDS
    progress: list[dict[str, Any]] = []
    with subscription:
        yield _RETRY
        async with aclosing(follow_lines(pk, after, subscription, progress.append)) as found:
            async for lines in found:
                if not await reader.stays():
                    return
                if lines:
                    yield _message(logs.fitting(lines, wanted), lines[-1].seq)
                if progress:
                    with translation.override(language):  # the stream goes on outside of its request
                        bar = _bar(progress.pop())
                    yield bar
                elif not lines:
                    yield sse.PING
                progress.clear()
                if time.monotonic() > deadline:
                    return
        yield sse.message("", event="end")


def _bar(said: dict[str, Any]) -> bytes:
    html = render_to_string("console/parts/progress.html", {"bar": presentation.progress(said)})
    return sse.message(html.strip(), event="progress")


def _message(lines: Sequence[LogLine], after: int) -> bytes:
    """Ready-made lines; without one that fits, the cursor moves on all the same."""
    return sse.message(log_lines(lines), event="lines", id=str(after))
