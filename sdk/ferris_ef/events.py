"""Sending events. What is wrong with one is said at once, where the script can still do something about it."""

from __future__ import annotations

from ferris_ef.quickjson import dumps
from ferris_ef.wire import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TOPICS = ("ferris.events", "ferris.notifications", "ferris.metrics")
RESERVED = (
    "ferris.execution.",
    "ferris.step.",
    "ferris.schedule.",
    "ferris.flow.",
    "ferris.event_type.",
    "ferris.subscription.",
)
LONGEST_NAME = 512
LARGEST_DATA = 1024 * 1024 - 4096
DEEPEST = 64


class Events:
    """`events.send(...)`."""

    def __init__(self, source: str) -> None:
        self._source = source

    def send(
        self,
        event_type: str,
        event_source: str | None = None,
        data: Any = None,
        topic: str | None = None,
        reference_id: Any = None,
        event_id: str | None = None,
    ) -> None:
        """Send an event; it belongs to this execution's flow.

        It is on the event log when the script has ended, also when the script fails afterwards. `event_source`
        defaults to the service's name; `reference_id` becomes the event's subject. `data` is any JSON value and
        stays as it is. With an `event_id` of your own, the same source and id is the same event, whichever execution
        sends it: what listens runs once. ValueError or TypeError for what cannot be sent, PlatformError without a
        platform.
        """
        message = checked(event_type, event_source or self._source, data, topic, reference_id)
        if event_id is not None:
            _name("event_id", event_id)
            message["id"] = event_id
        self._send(message)

    def _send(self, message: dict[str, Any]) -> None:
        tell({"op": "event", **message})


def checked(event_type: Any, source: Any, data: Any, topic: Any, reference_id: Any) -> dict[str, Any]:
    """The event as a message; ValueError or TypeError names what is wrong."""
    subject = None if reference_id is None else str(reference_id)
    _name("event_type", event_type)
    _name("event_source", source)
    if event_type.startswith(RESERVED):
        raise ValueError(f"event_type: {event_type!r} is a name that only the platform may send")
    if subject is not None:
        _name("reference_id", subject)
    if topic is not None and topic not in TOPICS:
        raise ValueError(f"topic: {topic!r} is none that scripts may send to; use one of {', '.join(TOPICS)}")
    data = {} if data is None else data
    _value(data, 1, "data")
    if len(dumps(data)) > LARGEST_DATA and (size := _exact_size(data)) > LARGEST_DATA:
        raise ValueError(f"data: has {size} bytes as JSON; expected at most {LARGEST_DATA}")
    return {"type": event_type, "source": source, "data": data, "topic": topic, "subject": subject}


def _exact_size(data: Any) -> int:
    """As it is on the log: in UTF-8, where `dumps` writes escapes."""
    import json

    return len(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())


def _name(which: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{which}: is a {type(value).__name__}; expected a text")
    if not value or len(value) > LONGEST_NAME or not value.isprintable():
        raise ValueError(f"{which}: is {value[:50]!r}; expected 1 to {LONGEST_NAME} printable characters")


def _value(value: Any, depth: int, where: str) -> None:
    """Refuse what the event log refuses: everything else arrives as it is."""
    if depth > DEEPEST - 1:
        raise ValueError(f"data: is nested deeper than {DEEPEST} levels")
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise TypeError(f"{where}: has the key {name!r}; expected texts as keys")
            _text(name, where)
            _value(inner, depth + 1, f"{where}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            _value(inner, depth + 1, f"{where}[{index}]")
    elif isinstance(value, str):
        _text(value, where)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{where}: is {value}, which JSON cannot say; send None or a text")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"{where}: is an integer of more than 64 bits; send it as a text")
    elif value is not None:
        raise TypeError(f"{where}: a value of type {type(value).__name__} cannot be written as JSON")


def _text(text: str, where: str) -> None:
    if "\0" in text:
        raise ValueError(f"{where}: holds the character NUL")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where}: holds half of a surrogate pair") from None
