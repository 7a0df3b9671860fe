"""Streams that keep open pages fresh: that something changed, and the lines of one execution's log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from uuid import UUID

from django.http import HttpRequest, StreamingHttpResponse
from django.template.loader import render_to_string

from ferris.config import CHANGES
from ferris.errors import NotFound
from ferris.ports import LogLine
from ferris_web import live, sse
from ferris_web.console import filters, logs
from ferris_web.executions.log_following import follow_lines
from ferris_web.executions.models import Execution

# A stream ends after this and the browser opens a new one: who may read is then checked again.
LONGEST_SECONDS = 900.0
_GATHER_SECONDS = 0.2  # changes that come close together are told once
_RETRY = b"retry: 3000\n\n"


def changes(request: HttpRequest) -> StreamingHttpResponse:
    """Says `changed` when executions changed: all of them, or of one `flow`, or one `execution`."""
    execution = filters.text(request.GET, "execution", 40)
    flow = filters.text(request.GET, "flow")
    if execution:
        return _answer(live.subscribe(execution=execution))
    return _answer(live.subscribe(flow=flow) if flow else live.subscribe(topics=(CHANGES,)))


def _answer(subscription: live.Subscription) -> StreamingHttpResponse:
    answer = sse.response(_changes(subscription))
    answer._resource_closers.append(subscription.close)  # should nobody ever read it
    return answer


async def _changes(subscription: live.Subscription) -> AsyncIterator[bytes]:
    deadline = time.monotonic() + LONGEST_SECONDS
    with subscription:
        yield _RETRY
        while time.monotonic() < deadline:
            if await _changed(subscription):
                yield sse.message("", event="changed")
                await asyncio.sleep(_GATHER_SECONDS)
            else:
                yield sse.PING


async def _changed(subscription: live.Subscription) -> bool:
    """Wait for a change of a row; False when there was none for a while."""
    deadline = time.monotonic() + sse.PING_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        try:
            found = await subscription.get(left)
        except live.Overrun:
            return True
        if any(notice.topic == CHANGES for notice in found):
            return True
    return False


def execution_log(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """The lines behind `after` that fit the filter, as they come; `end` once the execution has ended."""
    if not Execution.objects.filter(pk=pk).exists():
        raise NotFound(f"there is no execution {pk}")
    given = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    after = int(given) if given.isdecimal() and len(given) < 19 else 0
    subscription = live.subscribe(execution=str(pk))
    answer = sse.response(_lines(str(pk), after, logs.Wanted.from_query(request.GET), subscription))
    answer._resource_closers.append(subscription.close)
    return answer


async def _lines(
    pk: str, after: int, wanted: logs.Wanted, subscription: live.Subscription
) -> AsyncIterator[bytes]:
    deadline = time.monotonic() + LONGEST_SECONDS
    with subscription:
        yield _RETRY
        async with aclosing(follow_lines(pk, after, subscription)) as found:
            async for lines in found:
                yield _message(logs.fitting(lines, wanted), lines[-1].seq) if lines else sse.PING
                if time.monotonic() > deadline:
                    return
        yield sse.message("", event="end")


def _message(lines: Sequence[LogLine], after: int) -> bytes:
    """Ready-made lines; without one that fits, the cursor moves on all the same."""
    html = render_to_string("console/parts/log-lines.html", {"lines": lines})
    return sse.message(html.strip(), event="lines", id=str(after))
