"""An execution's log as server-sent events: what is stored, then each line as it comes, then `end`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from django.http import StreamingHttpResponse
from rest_framework.request import Request

from ferris.moments import stamp
from ferris.ports import LogLine
from ferris_web import live, sse
from ferris_web.api.following import Caller
from ferris_web.executions.log_following import follow_lines, in_thread
from ferris_web.executions.models import Execution

_RETRY = b"retry: 2000\n\n"
_ASK_SECONDS = 5.0  # between looks whether who follows still may


def log_stream(request: Request, row: Execution, after: int) -> StreamingHttpResponse:
    """The lines behind the cursor `after`, as they come, until the execution has ended.

    A line that an executor reports after a later attempt has begun is not sent, but it is in the stored log.
    BackendError when too many follow already.
    """
    subscription = live.subscribe(execution=str(row.pk))
    caller = Caller(request)
    return sse.response(_stream(str(row.pk), after, subscription, caller), caller.pk, subscription.close)


async def _stream(
    pk: str, after: int, subscription: live.Subscription, caller: Caller
) -> AsyncIterator[bytes]:
    asked = time.monotonic()
    with subscription:
        yield _RETRY
        async with aclosing(follow_lines(pk, after, subscription)) as found:
            async for lines in found:
                if not lines or time.monotonic() - asked > _ASK_SECONDS:
                    asked = time.monotonic()
                    if await in_thread(caller.now) is None:
                        return
                yield _messages(lines) if lines else sse.PING
        yield sse.message(orjson.dumps(await in_thread(_ended, pk)).decode(), event="end")


def _ended(pk: str) -> dict[str, Any]:
    """What there is to say once it has ended."""
    row = Execution.objects.filter(pk=pk).values("status", "reason", "error", "attempt").first()
    return dict(row) if row else {"status": "removed"}


def _messages(lines: Sequence[LogLine]) -> bytes:
    return b"".join(sse.message(_json(line), id=str(line.seq)) for line in lines)


def _json(line: LogLine) -> str:
    said = {
        "seq": line.seq,
        "attempt": line.attempt,
        "time": stamp(line.time),
        "step": line.step,
        "stream": line.stream,
        "level": line.level,
        "message": line.message,
    }
    return orjson.dumps(said).decode()
