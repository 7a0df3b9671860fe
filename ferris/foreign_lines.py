"""Log lines that other programs write to `ferris.logs`: JSON objects in the Logstash form or one like it.

The published client's logger (`fx_ef`, `ferris_cli`) writes them, in the form of logstash-formatter:
`@timestamp message levelname name ...`, without saying which execution it runs in. The executor has the same
line from the script's standard error; this one is kept to be searched for, by its place on the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ferris.attributes import time_of
from ferris.errors import EventError

STREAM = "client"
_LEVELS = {"warn": "warning", "fatal": "critical", "notset": "debug"}


def foreign_line(
    said: Mapping[str, Any], topic: str, partition: int, offset: int, appended: datetime
) -> dict[str, Any]:
    """The record that the operational store keeps of such a line; EventError when it holds no message."""
    message = said.get("message")
    if not isinstance(message, str):
        raise EventError("message", "is no text, and no execution is named: not a log line")
    level = str(said.get("levelname") or said.get("level") or "info").lower()
    return {
        "execution": f"{topic}/{partition}",
        "attempt": 0,
        "seq": offset,
        "time": _time(said.get("@timestamp") or said.get("time"), appended).isoformat(),
        "stream": STREAM,
        "level": _LEVELS.get(level, level)[:20],
        "message": message,
        "service": str(said.get("name") or "")[:200],
    }


def _time(said: Any, appended: datetime) -> datetime:
    try:
        return time_of(said)
    except EventError:
        return appended
