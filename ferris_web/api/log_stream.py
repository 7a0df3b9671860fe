"""An execution's log as server-sent events: what is stored, then each line as it comes, then `end`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from django.http import StreamingHttpResponse

from ferris.ports import LogLine
from ferris_web import live, sse
from ferris_web.api.serializers.fields import stamp
from ferris_web.executions.log_following import follow_lines, in_thread
from ferris_web.executions.models import Execution

_RETRY = b"retry: 2000\n\n"


def log_stream(row: Execution, after: int) -> StreamingHttpResponse:
    """The lines behind the cursor `after`, as they come, until the execution has ended.

    A line that an executor reports after a later attempt has begun is not sent, but it is in the stored log.
    BackendError when too many follow already.
    """
    subscription = live.subscribe(execution=str(row.pk))
    answer = sse.response(_stream(str(row.pk), after, subscription))
    answer._resource_closers.append(subscription.close)  # should nobody ever read it
    return answer


async def _stream(pk: str, after: int, subscription: live.Subscription) -> AsyncIterator[bytes]:
    with subscription:
        yield _RETRY
        async with aclosing(follow_lines(pk, after, subscription)) as found:
            async for lines in found:
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
