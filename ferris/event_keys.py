"""Keys: what flow control groups events by, a path such as `data.customer`, `subject` or `correlation`.

A path names an attribute or an extension, or goes into `data` with dots; a number takes that item of a list. The
number 5 and the text "5" are one key. An event without a value there (or with null) has no key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ferris.conditions import ABSENT
from ferris.events import Event
from ferris.filters import attribute

CORRELATION: Final = "correlation"
LONGEST: Final = 200

_NAME = re.compile(r"[a-z0-9]{1,20}")
EXPECTED: Final = 'a path such as "data.customer", "subject" or "correlation"'


def is_path(text: Any) -> bool:
    """True when the text can be the path of a key."""
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST or not text.isprintable():
        return False
    name, *steps = text.split(".")
    return all(steps) if name == "data" and steps else not steps and bool(_NAME.fullmatch(name))


def key_of(event: Event, path: str) -> str | None:
    """The event's key at a path, None when it has none. An empty path is one key for all."""
    if not path:
        return ""
    name, *steps = path.split(".")
    value = event.flow_id if name in (CORRELATION, "correlationid") else attribute(event, name)
    value = inside(value, steps)
    return None if value is None or value is ABSENT else text_of(value)


def inside(value: Any, steps: Iterable[str]) -> Any:
    """What lies in a JSON value at the end of these steps: names of objects, places in lists; None where nothing is."""
    for step in steps:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def text_of(value: Any) -> str:
    """A value as a key; a long one is cut and ends with its digest."""
    text = value if isinstance(value, str) else _text(value)
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{text[: LONGEST - 33]}…{digest}"


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
