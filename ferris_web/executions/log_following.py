"""Follows the log of one execution: what is stored, then each line as it comes, until the execution has ended.

No gap and no repetition where the two meet: the subscription begins first; then what the store has is given,
then what is on the log but not stored yet; whatever the subscription brings up to that cursor is skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from django.db import close_old_connections

from ferris.config import CHANGES, LOGS
from ferris.ports import LogLine
from ferris_web import live, sse, wiring
from ferris_web.executions import log_reading
from ferris_web.executions.models import OPEN, Execution

T = TypeVar("T")

_PAGE = 1000
_BEHIND_SECONDS = 1.0


async def follow_lines(
    pk: str,
    after: int,
    subscription: live.Subscription,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> AsyncGenerator[list[LogLine], None]:
    """Lines behind the cursor `after` in order; an empty list when none came for a while. Ends with the execution.

    `progress` is called with what the script says of its progress; an empty list follows it, too.

    A line that an executor reports after a later attempt has begun is not given, but it is in the stored log.
    """
    last = after
    while True:
        # Asked first: once it has ended, all its lines are on the log, and what follows finds them.
        ended = await in_thread(lambda: not Execution.objects.filter(pk=pk, status__in=OPEN).exists())
        waiting = await in_thread(log_reading.unstored)
        while stored := await in_thread(_page, pk, last):
            last = stored[-1].seq
            yield stored
        if waiting is None:  # the store is far behind: wait for it, live lines would overtake it
            await asyncio.sleep(_BEHIND_SECONDS)
            yield []
            continue
        lines = log_reading.lines_of(pk, waiting, last)
        if lines:
            last = lines[-1].seq
            yield lines
        if ended:
            return
        async with aclosing(_as_they_come(subscription, last, progress)) as live_lines:
            async for lines in live_lines:
                last = lines[-1].seq if lines else last
                yield lines
        yield []


async def _as_they_come(
    subscription: live.Subscription, last: int, progress: Callable[[dict[str, Any]], None] | None
) -> AsyncGenerator[list[LogLine], None]:
    """New lines; ends when the execution has, when some may be missing, or when nothing comes for a while."""
    while True:
        try:
            notices = await subscription.get(sse.PING_SECONDS)
        except live.Overrun:
            return
        lines = log_reading.ordered((notice.value for notice in notices if notice.topic == LOGS), last)
        told = [notice.value["progress"] for notice in notices if notice.value.get("progress")]
        if progress is not None and told:
            progress(told[-1])
        if lines or (progress is not None and told):
            last = lines[-1].seq if lines else last
            yield lines
        over = any(n.topic == CHANGES and n.value.get("status") not in OPEN for n in notices)
        if over or not notices:
            return


async def in_thread(work: Callable[..., T], *given: Any) -> T:
    """Run what touches a database or a store outside the event loop."""

    def fresh() -> T:
        close_old_connections()
        return work(*given)

    return await asyncio.to_thread(fresh)


def _page(pk: str, after: int) -> list[LogLine]:
    return wiring.ops_store().logs(pk, after=after, limit=_PAGE)
