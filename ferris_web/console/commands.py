"""Commands to copy: the same request as on the screen, for a shell. Never with a token inside."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.http import HttpRequest

from ferris.events import RUN_REQUESTED
from ferris_web.executions.models import Event, Execution

_SHOWN_AT_MOST = 20_000  # characters of data in a command
_NEW_ID = "$(uuidgen 2>/dev/null || cat /proc/sys/kernel/random/uuid)"  # not every system has uuidgen


def _post(request: HttpRequest, path: str, body: Any, content_type: str = "application/json") -> str:
    text = json.dumps(body, ensure_ascii=False)
    data = shlex.quote(text) if len(text) <= _SHOWN_AT_MOST else "@parameters.json"
    return (
        f"curl -sS -X POST {shlex.quote(request.build_absolute_uri(path))} \\\n"
        f'  -H "Authorization: Bearer $FERRIS_TOKEN" -H "Content-Type: {content_type}" \\\n'
        f"  -d {data}"
    )


def run_curl(request: HttpRequest, row: Execution) -> str:
    """The request that runs this service again with the same input."""
    if row.event.type == RUN_REQUESTED:
        return _post(
            request, f"/api/v1/services/{row.service.name}/run/", {"parameters": row.event.data or {}}
        )
    return _post(request, f"/api/v1/executions/{row.pk}/retry/", {})


def run_again(row: Execution) -> str:
    """The command that runs this service again with the same parameters, or sends the same event again, and follows
    what comes of it."""
    if row.event.type != RUN_REQUESTED:
        return emit(row.event)
    return f"manage.py run {shlex.quote(row.service.name)} --data {_data(row.event.data or {})} --follow"


def emit(event: Event) -> str:
    """The command that sends this event's type and data as a new event."""
    return f"manage.py emit {shlex.quote(event.type)} --data {_data(event.data)} --wait"


def _data(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return shlex.quote(text) if len(text) <= _SHOWN_AT_MOST else "@data.json"


def send_curl(request: HttpRequest, event: Event) -> str:
    """The request that sends this event's type and data as a new event."""
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": _NEW_ID,
        "source": event.source,
        "type": event.type,
    }
    if event.subject:
        body["subject"] = event.subject
    body["data"] = event.data
    text = _post(request, "/api/v1/events/", body, "application/cloudevents+json")
    return text.replace(_NEW_ID, f"'\"{_NEW_ID}\"'", 1)
