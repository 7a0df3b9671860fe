"""Server-sent events (WHATWG HTML, section 9.2): the form of messages, and the answer that carries them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from django.http import StreamingHttpResponse

PING_SECONDS = 15.0  # proxies cut connections that say nothing for 30 to 60 s
PING = b": ping\n\n"

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


def response(messages: AsyncIterator[bytes]) -> StreamingHttpResponse:
    """The answer; its connection stays open for as long as there are messages."""
    return StreamingHttpResponse(
        messages,
        content_type="text/event-stream",
        # no-transform and X-Accel-Buffering: proxies pass every message on at once
        headers={"Cache-Control": "private, no-cache, no-transform", "X-Accel-Buffering": "no"},
    )
