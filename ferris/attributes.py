"""What the attributes and the data of an event may hold: CloudEvents 1.0.2 section 3, and our limits.

Every check raises EventError with the attribute, what it holds and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ferris.errors import EventError

MAX_ATTRIBUTE: Final = 512
MAX_EXTENSION: Final = 4096
MAX_FLOW_ID: Final = 255

PLATFORM_ONLY: Final = (
    "ferrisservice", "ferristrigger", "ferrishops", "ferriseventname", "ferrispriority", "ferrisjoin",
    "ferrisgathered", "ferrisreplay", "ferrisreplayflow", "ferrismapped", "ferriscontinues",
)  # fmt: skip
"""Extensions that nobody outside may set."""

TRIGGERED: Final = "triggered"
TRIGGERS: Final = ("manual", "scheduled", TRIGGERED, "retried")

# CloudEvents 1.0.2 section 3.1, String: no control characters, no surrogates, no noncharacters
FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,20}")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:)(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_KINDS = {
    type(None): "null", bool: "a boolean", int: "a number", float: "a number",
    str: "a text", list: "a list", dict: "an object", bytes: "bytes",
}  # fmt: skip


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def shown(value: Any) -> str:
    """A value as a message shows it: short, on one line."""
    if value is None:
        return "missing"
    if isinstance(value, (list, dict)):
        return kind_of(value)
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_text(name: str, value: Any, limit: int) -> None:
    if type(value) is not str:
        found = "is missing" if value is None else f"is {kind_of(value)}"
        raise EventError(name, f"{found}; expected a text that is not empty")
    if not value:
        raise EventError(name, "is empty; expected a text that is not")
    if len(value) > limit:
        raise EventError(name, f"has {len(value)} characters; expected at most {limit}")
    if not value.isprintable():
        bad = FORBIDDEN.search(value)
        if bad:
            raise EventError(
                name,
                f"holds the character U+{ord(bad[0]):04X} at position {bad.start()}; "
                "expected no control characters, surrogates or noncharacters",
            )


def extension(name: str, value: Any) -> str | int | bool:
    if not _EXTENSION_NAME.fullmatch(name):
        raise EventError(
            name if name.isprintable() else repr(name),
            "is no name of an extension attribute; expected 1 to 20 of a-z and 0-9",
        )
    if type(value) is str:
        check_text(name, value, MAX_EXTENSION)
    elif type(value) is int:
        if not -(2**31) <= value < 2**31:
            raise EventError(name, "is out of range; expected an integer of 32 bits")
    elif type(value) is not bool:
        raise EventError(name, f"is {kind_of(value)}; expected a text, an integer or a boolean")
    check = _OUR_EXTENSIONS.get(name)
    checked: str | int | bool = check(name, value) if check else value
    return checked


def _flow_extension(name: str, value: Any) -> str:
    if type(value) is bool or len(str(value)) > MAX_FLOW_ID:
        raise EventError(name, f"is {shown(value)}; expected a text of at most {MAX_FLOW_ID} characters")
    return str(value)


def _hops_extension(name: str, value: Any) -> int:
    # binary mode carries every attribute as text
    if type(value) is str and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    if type(value) is not int or value < 0:
        raise EventError(name, f"is {shown(value)}; expected a whole number from 0")
    return value


def _service_extension(name: str, value: Any) -> str:
    if type(value) is not str:
        raise EventError(name, f"is {shown(value)}; expected the name of a service")
    return value


def _trigger_extension(name: str, value: Any) -> str:
    if value not in TRIGGERS:
        raise EventError(name, f"is {shown(value)}; expected one of {', '.join(TRIGGERS)}")
    return str(value)


def _priority_extension(name: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 10:
        raise EventError(name, f"is {shown(value)}; expected a priority from 1 to 10")
    return value


_OUR_EXTENSIONS: Final[dict[str, Callable[[str, Any], str | int]]] = {
    "correlationid": _flow_extension,
    "causationid": _flow_extension,
    "ferrishops": _hops_extension,
    "ferrisservice": _service_extension,
    "ferristrigger": _trigger_extension,
    "ferrispriority": _priority_extension,
}


def time_of(value: Any) -> datetime:
    """RFC 3339, as CloudEvents 1.0.2 section 3.1 asks; more digits than microseconds are cut off."""
    match = _RFC3339.fullmatch(value) if type(value) is str else None
    if match:
        try:
            second = match[2]
            leap = second == "60"
            text = f"{match[1]}{'59' if leap else second}{(match[3] or '')[:7]}{match[4].upper()}"
            return datetime.fromisoformat(text).astimezone(UTC) + timedelta(seconds=leap)
        except (ValueError, OverflowError):
            pass
    raise EventError("time", f"is {shown(value)}; expected a time of RFC 3339 such as 2026-01-31T09:30:00Z")
