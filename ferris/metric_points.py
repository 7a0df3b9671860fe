"""A value that a script recorded by `context.metrics`, as it comes on the topic `ferris.metrics`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from ferris.errors import EventError
from ferris.events import Event

TYPE: Final = "ferris.metric.recorded"
MOST_LABELS: Final = 8
LONGEST_NAME: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,100}", re.ASCII)


@dataclass(frozen=True)
class Point:
    """One value. `key` is the event's: the same value that comes again has the same."""

    key: UUID
    execution: UUID
    at: datetime
    name: str
    value: float
    unit: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def point_of(event: Event) -> Point:
    """The value that an event of this type holds; EventError names what is wrong with it."""
    said: Any = event.data
    if event.type != TYPE:
        raise EventError("type", f"is {event.type!r}; expected {TYPE}")
    if not isinstance(said, dict):
        raise EventError("data", "is no object")
    name, value, unit, labels = (said.get(key) for key in ("name", "value", "unit", "labels"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise EventError("data.name", "is no name of a metric")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise EventError("data.value", "is no number")
    labels = {} if labels is None else labels
    if not isinstance(labels, dict) or len(labels) > MOST_LABELS:
        raise EventError("data.labels", f"is no object of at most {MOST_LABELS} texts")
    for key, text in labels.items():
        if not _NAME.fullmatch(key) or not isinstance(text, str) or not 0 < len(text) <= LONGEST_NAME:
            raise EventError(f"data.labels.{key}"[:120], f"is no text of 1 to {LONGEST_NAME} characters")
    try:
        execution = UUID(event.causation_id or "")
    except ValueError:
        raise EventError("causationid", "names no execution") from None
    unit = unit if isinstance(unit, str) else ""
    return Point(event.key, execution, event.time, name, float(value), unit[:LONGEST_NAME], labels)
