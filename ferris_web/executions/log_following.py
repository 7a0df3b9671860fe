"""Follows the log of one execution: what is stored, then each line as it comes, until the execution has ended.

No gap and no repetition where the two meet: the subscription begins first; then what the store has is given,
then what is on the log but not stored yet; whatever the subscription brings up to that cursor is skipped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeVar

from django.db import close_old_connections

from ferris.config import CHANGES, LOGS
from ferris.ports import LogLine, log_cursor
from ferris_web import live, sse, wiring
from ferris_web.executions.backlog import INDEXER, backlog
from ferris_web.executions.models import OPEN, Execution

T = TypeVar("T")

_PAGE = 1000
_LONGEST_BACKLOG = 20_000  # log records of all executions that are read for those of one
_BEHIND_SECONDS = 1.0


async def follow_lines(
    pk: str, after: int, subscription: live.Subscription
) -> AsyncGenerator[list[LogLine], None]:
    """Lines behind the cursor `after` in order; an empty list when none came for a while. Ends with the execution.

    A line that an executor reports after a later attempt has begun is not given, but it is in the stored log.
    """
    last = after
    while True:
        # Asked first: once it has ended, all its lines are on the log, and what follows finds them.
        ended = await in_thread(lambda: not Execution.objects.filter(pk=pk, status__in=OPEN).exists())
        waiting = await in_thread(lambda: backlog(LOGS, INDEXER, most=_LONGEST_BACKLOG))
        while stored := await in_thread(_page, pk, last):
            last = stored[-1].seq
            yield stored
        if waiting is None:  # the store is far behind: wait for it, live lines would overtake it
            await asyncio.sleep(_BEHIND_SECONDS)
            yield []
            continue
        lines = _behind(last, (_decoded(record.value) for record in waiting if record.key == pk))
        if lines:
            last = lines[-1].seq
            yield lines
        if ended:
            return
        async with aclosing(_as_they_come(subscription, last)) as live_lines:
            async for lines in live_lines:
                last = lines[-1].seq
                yield lines
        yield []


async def _as_they_come(subscription: live.Subscription, last: int) -> AsyncGenerator[list[LogLine], None]:
    """New lines; ends when the execution has, when some may be missing, or when nothing comes for a while."""
    while True:
        try:
            notices = await subscription.get(sse.PING_SECONDS)
        except live.Overrun:
            return
        lines = _behind(last, (notice.value for notice in notices if notice.topic == LOGS))
        if lines:
            last = lines[-1].seq
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


def _behind(last: int, records: Iterable[Any]) -> list[LogLine]:
    """The lines behind a cursor, in order, from records as they are on the log."""
    lines = {}
    for record in records:
        try:
            line = _line(record)
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # what is no line is not stored either
        if line.seq > last:
            lines[line.seq] = line
    return [lines[seq] for seq in sorted(lines)]


def _decoded(value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return None


def _line(record: dict[str, Any]) -> LogLine:
    return LogLine(
        seq=log_cursor(record["attempt"], record["seq"]),
        attempt=record["attempt"],
        time=datetime.fromisoformat(record["time"]),
        step=record.get("step") or None,
        stream=record.get("stream") or "stdout",
        level=record.get("level") or "info",
        message=record["message"].encode("utf-8", "replace").decode(),  # no half surrogates
    )
