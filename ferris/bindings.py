"""Binary mode: an event's attributes from HTTP or Kafka headers, by the `cloudevents` package's bindings.

The package owns the names of the headers and their escapes. What it would fill in (a missing id), accept
(times that are not RFC 3339) or replace (bytes that are not UTF-8) is settled here first; EventError.
It is imported when the first such message comes: most processes never see one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from ferris.errors import EventError

_REQUIRED = ("specversion", "id", "source", "type")


def http_attributes(headers: Mapping[str, str], content_type: str | None) -> dict[str, Any]:
    """HTTP binding 1.0.2 section 3.1. `headers`: those that begin with ce-, names in lower case."""
    from cloudevents.core.bindings import http
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    plain = {name: _unquoted(value) for name, value in headers.items()}
    for name, value in plain.items():
        try:
            unquote_to_bytes(value).decode()
        except UnicodeError:
            raise EventError(name[3:], "is not UTF-8 once its percent-encoding is undone") from None
    time = plain.pop("ce-time", None)
    if content_type:
        plain["content-type"] = content_type
    message = http.HTTPMessage(plain, b"")
    attributes = _read(plain, "ce-", lambda: http.from_binary(message, JSONFormat(), CloudEvent))
    attributes["time"] = None if time is None else unquote(time)
    return attributes


def kafka_attributes(headers: Mapping[str, bytes]) -> dict[str, Any]:
    """Kafka binding 1.0.2 section 3.2. `headers`: names in lower case; other ones are ignored."""
    from cloudevents.core.bindings import kafka
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    ours = {
        name: value for name, value in headers.items() if name.startswith("ce_") or name == "content-type"
    }
    for name, value in ours.items():
        try:
            value.decode()
        except UnicodeDecodeError:
            raise EventError(name.removeprefix("ce_"), "is not UTF-8") from None
    time = ours.pop("ce_time", None)
    message = kafka.KafkaMessage(ours, None, b"")
    attributes = _read(ours, "ce_", lambda: kafka.from_binary(message, JSONFormat(), CloudEvent))
    attributes["time"] = None if time is None else time.decode()
    return attributes


def _read(headers: Mapping[str, Any], prefix: str, read: Callable[[], Any]) -> dict[str, Any]:
    """The attributes as the package reads them from headers; what it would fill in must be there."""
    from cloudevents.core.exceptions import CloudEventValidationError

    for name in _REQUIRED:
        if prefix + name not in headers:
            raise EventError(name, f"is missing; expected the header {prefix}{name}")
    try:
        return dict(read().get_attributes())
    except CloudEventValidationError as error:
        attribute, problems = next(iter(error.errors.items()))
        raise EventError(attribute, str(problems[0])) from None


def _unquoted(value: str) -> str:
    """A header's value without the quotes it may stand in (HTTP binding 1.0.2 section 3.1.3.2)."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
