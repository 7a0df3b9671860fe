"""Commands to copy: the same request as on the screen, for a shell. Never with a token inside."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.http import HttpRequest

from ferris.events import RUN_REQUESTED
from ferris_web.executions.models import Event, Execution

_SHOWN_AT_MOST = 20_000  # characters of data in a command


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


def follow(row: Execution) -> str:
    """The command that sends the same event again and follows what it causes."""
    event = row.event
    if event.type == RUN_REQUESTED:
        return ""
    return emit(event)


def emit(event: Event) -> str:
    """The command that sends this event's type and data as a new event."""
    data = json.dumps(event.data, ensure_ascii=False)
    shown = shlex.quote(data) if len(data) <= _SHOWN_AT_MOST else '"$(cat data.json)"'
    return f"manage.py emit {shlex.quote(event.type)} --data {shown} --wait"


def send_curl(request: HttpRequest, event: Event) -> str:
    """The request that sends this event's type and data as a new event."""
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": "$(uuidgen)",
        "source": event.source,
        "type": event.type,
    }
    if event.subject:
        body["subject"] = event.subject
    body["data"] = event.data
    text = _post(request, "/api/v1/events/", body, "application/cloudevents+json")
    return text.replace("$(uuidgen)", "'\"$(uuidgen)\"'", 1)
