"""Server-sent events (WHATWG HTML, section 9.2): the form of messages, and the answer that carries them, of which one
person has only so many: each holds a connection and what waits for it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

from django.http import StreamingHttpResponse

from ferris.errors import FerrisError
from ferris_web import wiring

PING_SECONDS = 15.0  # proxies cut connections that say nothing for 30 to 60 s
PING = b": ping\n\n"
_open: Counter[int] = Counter()
_lock = threading.Lock()

SCHEMA: Final = {
    "type": "object",
    "description": "One message of the stream.",
    "properties": {
        "event": {"type": "string", "description": "Its kind; none: what the stream is about."},
        "id": {"type": "string", "description": "Comes back as `Last-Event-ID`."},
        "data": {"type": "string", "description": "JSON."},
        "retry": {"type": "integer"},
    },
}
"""A message as the API's OpenAPI document describes it."""


def message(data: str, *, event: str = "", id: str = "") -> bytes:
    """One message. `data` may have any lines; `event` and `id` are one line each."""
    lines = [f"{name}: {value}" for name, value in (("event", event), ("id", id)) if value]
    # CR alone ends a line too: a carriage return in a log line must not end the field.
    lines += [f"data: {part}" for part in data.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return ("\n".join(lines) + "\n\n").encode()


class TooManyStreams(FerrisError):
    """Somebody has as many streams open as one person may."""


def response(messages: AsyncIterator[bytes], whose: int, leave: Callable[[], None]) -> StreamingHttpResponse:
    """The answer; its connection stays open for as long as there are messages.

    `whose`: the id of the person, of whose streams this is one until it ends. `leave` is called once it has ended,
    however it did. TooManyStreams.
    """
    most = wiring.config().stream_limit
    with _lock:
        if _open[whose] >= most:
            leave()
            raise TooManyStreams(
                f"{most} streams of yours are open already, in pages or programs; end some of them"
            )
        _open[whose] += 1
    ended = threading.Event()

    def end() -> None:
        with _lock:
            if ended.is_set():
                return
            ended.set()
            _open[whose] -= 1
            if not _open[whose]:
                del _open[whose]
        leave()

    answer = StreamingHttpResponse(
        _until_ended(messages, end),
        content_type="text/event-stream",
        # no-transform and X-Accel-Buffering: proxies pass every message on at once
        headers={"Cache-Control": "private, no-cache, no-transform", "X-Accel-Buffering": "no"},
    )
    answer._resource_closers.append(end)  # should nobody ever read it
    return answer


def open_streams() -> int:
    """How many are open at this moment, in this process."""
    return sum(_open.values())


async def _until_ended(messages: AsyncIterator[bytes], end: Callable[[], None]) -> AsyncIterator[bytes]:
    try:
        async with aclosing(messages) as found:  # type: ignore[type-var]
            async for message in found:
                yield message
    finally:
        end()
