"""Reads and walks through JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def object_of(content: bytes | None) -> dict[str, Any]:
    """A stored JSON object; an empty one for what is none, or nothing."""
    try:
        found = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def texts_in(value: Any) -> Iterator[str]:
    """Every text and number inside a JSON value, numbers as JSON writes them; keys, true, false and null are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield repr(value)
