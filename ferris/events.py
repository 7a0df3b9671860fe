"""CloudEvents 1.0.2: parse, check, make, encode.

Structured JSON (JSON event format 1.0.2) is read and written with the standard library and checked here,
because the `cloudevents` package fills in a missing id and lets NaN, NUL, half surrogate pairs, floats as
extensions and any depth pass, and has no batch. Binary mode (HTTP binding 3.1, Kafka binding 3.2) goes
through the package's bindings (ferris/bindings.py); what they return then passes the same checks. Tests
hold both directions to the package. Whatever is wrong comes out as EventError and nothing else.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import string
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from ferris.attributes import (
    FORBIDDEN,
    MAX_ATTRIBUTE,
    MAX_EXTENSION,
    MAX_FLOW_ID,
    TRIGGERED,
    check_text,
    extension,
    kind_of,
    shown,
    time_of,
)
from ferris.bindings import http_attributes, kafka_attributes
from ferris.content import (
    check_value,
    content,
    decode_twice_encoded,
    from_base64,
    is_harmless,
    load,
    media_type,
)
from ferris.errors import EventError

MAX_EVENT_BYTES: Final = 1024 * 1024
"""An event as it is sent to us."""
MAX_BATCH_BYTES: Final = 16 * MAX_EVENT_BYTES
MAX_RECORD_BYTES: Final = MAX_EVENT_BYTES + 64 * 1024
"""An event on the log: with the attributes that the platform adds."""

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

RESERVED: Final = (
    "ferris.execution.",
    "ferris.step.",
    "ferris.schedule.",
    "ferris.flow.",
    "ferris.event_type.",
    "ferris.subscription.",
)
"""Event types that begin so are sent by the platform alone."""

RUN_REQUESTED: Final = "ferris.execution.requested"
RETRY_REQUESTED: Final = "ferris.execution.retry_requested"
SCHEDULE_DUE: Final = "ferris.schedule.due"

EVENT_IDS: Final = uuid.UUID("0b9f7d5e-8c1e-5c53-9d5c-6a1f3f0c8e42")

_REQUIRED = ("id", "source", "type")
_OPTIONAL = ("subject", "datacontenttype", "dataschema")
_NOT_EXTENSIONS = frozenset({"specversion", *_REQUIRED, *_OPTIONAL, "time", "data", "data_base64"})
_OWN_CORRELATION = re.compile(r"([A-Z0-9]{10})_[0-9]{2,}")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_FLOW_ALPHABET = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent. `time` is aware and in UTC. `data` is a JSON value, or bytes for other content.

    Made by `parse*`, `from_record` or `new`, which check; the class itself trusts its caller.
    """

    id: str
    source: str
    type: str
    time: datetime
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: Any = None
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict)

    @property
    def key(self) -> uuid.UUID:
        """What this event is, wherever and however often it turns up: made from source and id."""
        return uuid.uuid5(EVENT_IDS, f"{len(self.source)}:{self.source}{self.id}")

    @property
    def flow_id(self) -> str | None:
        """The flow it belongs to: its correlation, or what a published client left inside the data."""
        correlation = self._text("correlationid", "_fxcid")
        return None if correlation is None else flow_of(correlation)

    @property
    def causation_id(self) -> str | None:
        """The execution that sent it. Published clients leave it inside the data; a replay's event has none."""
        if "ferrisreplay" in self.extensions:
            return self._text("causationid")
        return self._text("causationid", "_fxparentexec", "_fxexec")

    @property
    def hops(self) -> int:
        """How many executions lie between this event and the one that began the flow."""
        return int(self.extensions.get("ferrishops", 0))

    @property
    def service(self) -> str | None:
        """The one service it is addressed to, or None: whoever listens."""
        return self._text("ferrisservice")

    @property
    def trigger(self) -> str:
        """The trigger type of the executions it causes: manual, scheduled, triggered or retried."""
        return self._text("ferristrigger") or TRIGGERED

    @property
    def priority(self) -> int | None:
        """The priority of the executions it causes; None: their services'."""
        value = self.extensions.get("ferrispriority")
        return None if value is None else int(value)

    def _text(self, extension: str, *names_in_data: str) -> str | None:
        value = self.extensions.get(extension)
        if value is not None:
            return str(value)
        if names_in_data and isinstance(self.data, Mapping):
            for name in names_in_data:
                inner = self.data.get(name)
                if isinstance(inner, str) and 0 < len(inner) <= MAX_FLOW_ID and not FORBIDDEN.search(inner):
                    return inner
        return None


# --- flows -----------------------------------------------------------------------------------------


def new_flow_id() -> str:
    """Ten characters A-Z0-9 that nobody can guess."""
    return "".join(secrets.choice(_FLOW_ALPHABET) for _ in range(10))


def flow_of(correlation: str) -> str:
    """The flow of a correlation id: "ABCDEF1234_01" is of "ABCDEF1234"; any other form is its own flow."""
    own = _OWN_CORRELATION.fullmatch(correlation)
    return own[1] if own else correlation


def correlation_id(flow_id: str, sequence: int) -> str:
    """An execution's correlation id as people see it: ABCDEF1234_01."""
    return f"{flow_id}_{sequence:02d}"


def with_flow(event: Event) -> Event:
    """The event as it goes on the log: its `correlationid` is its flow, a new one if it had none."""
    flow = event.flow_id or new_flow_id()
    if event.extensions.get("correlationid") == flow:
        return event
    return replace(event, extensions={**event.extensions, "correlationid": flow})


def is_reserved(event_type: str) -> bool:
    """True for types that only the platform itself may send."""
    return event_type.startswith(RESERVED)


# --- in --------------------------------------------------------------------------------------------


def parse(body: bytes, *, now: datetime) -> Event:
    """One event in structured JSON. `now` becomes its time if it has none. Raises EventError."""
    _limit(body, MAX_EVENT_BYTES, "an event")
    return _from_document(load(body, "body"), now)


def parse_batch(body: bytes, *, now: datetime) -> list[Event]:
    """A JSON array of events (JSON batch format), possibly empty. EventError names index and attribute."""
    _limit(body, MAX_BATCH_BYTES, "a batch")
    documents = load(body, "body")
    if not isinstance(documents, list):
        raise EventError("body", f"is {kind_of(documents)}; expected an array of events")
    events = []
    for index, document in enumerate(documents):
        try:
            events.append(_from_document(document, now))
            if len(body) > MAX_EVENT_BYTES:
                encode(events[-1])
        except EventError as error:
            raise EventError(f"[{index}].{error.attribute}", error.problem) from None
    return events


def parse_http(headers: Mapping[str, str], body: bytes, *, now: datetime) -> list[Event]:
    """The events of an HTTP message in any of the three modes (HTTP binding 1.0.2 section 3). EventError."""
    lower = {name.lower(): value for name, value in headers.items()}
    media = media_type(lower.get("content-type", ""))
    if media == STRUCTURED:
        return [parse(body, now=now)]
    if media == BATCH:
        return parse_batch(body, now=now)
    ours = {name: value for name, value in lower.items() if name.startswith("ce-")}
    if media.startswith("application/cloudevents") or not ours:
        raise EventError(
            "content-type",
            f"is {media or 'missing'}; expected {STRUCTURED}, {BATCH}, "
            "or the content's own type together with ce- headers (binary mode)",
        )
    _limit(body, MAX_EVENT_BYTES, "an event")
    attributes = http_attributes(ours, lower.get("content-type"))
    return [_build(attributes, content(body, attributes.get("datacontenttype"), "data"), now)]


def from_record(value: bytes, headers: Mapping[str, bytes], *, now: datetime) -> Event:
    """An event from the log: structured, or binary with ce_ headers (Kafka binding 1.0.2). EventError."""
    _limit(value, MAX_RECORD_BYTES, "an event")
    if headers:
        lower = {name.lower(): raw for name, raw in headers.items()}
        media = media_type(lower.get("content-type", b"").decode("utf-8", "replace"))
        if not media.startswith("application/cloudevents") and any(name.startswith("ce_") for name in lower):
            attributes = kafka_attributes(lower)
            return _build(attributes, content(value, attributes.get("datacontenttype"), "data"), now)
    return _from_document(load(value, "body"), now, harmless=is_harmless(value))


# --- out -------------------------------------------------------------------------------------------


def as_dict(event: Event) -> dict[str, Any]:
    """The event as JSON values, named as the JSON event format names them."""
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": rfc3339(event.time),
    }
    for name in _OPTIONAL:
        value = getattr(event, name)
        if value is not None:
            document[name] = value
    document.update(event.extensions)
    if isinstance(event.data, (bytes, bytearray)):
        document["data_base64"] = base64.b64encode(event.data).decode()
    elif event.data is not None:
        document["data"] = event.data
    return document


def encode(event: Event) -> bytes:
    """Structured JSON, as it goes on the log; `from_record` reads it back.

    EventError when its data is no JSON value, or too large or deep for the log.
    """
    if not isinstance(event.data, (bytes, bytearray)):
        check_value(event.data, 2, "data")
    try:
        body = _ENCODER.encode(as_dict(event)).encode()
    except (TypeError, ValueError) as error:
        raise EventError("data", f"cannot be written as JSON: {error}") from None
    _limit(body, MAX_RECORD_BYTES, "an event")
    return body


def rfc3339(time: datetime) -> str:
    """A time in UTC as RFC 3339 writes it, with Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def new(
    type: str,
    source: str,
    data: Any = None,
    *,
    now: datetime,
    id: str | None = None,
    subject: str | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    hops: int = 0,
    service: str | None = None,
    trigger: str | None = None,
    extensions: Mapping[str, str | int | bool] | Iterable[tuple[str, str | int | bool]] = (),
) -> Event:
    """An event of our own; EventError for a wrong attribute. The data is checked by `encode`."""
    attributes: dict[str, Any] = {
        **dict(extensions),
        "id": id or str(uuid.uuid4()),
        "source": source,
        "type": type,
        "subject": subject,
        "datacontenttype": None if data is None or isinstance(data, bytes) else "application/json",
        "correlationid": correlation_id,
        "causationid": causation_id,
        "ferrishops": hops or None,
        "ferrisservice": service,
        "ferristrigger": trigger,
    }
    return _build(attributes, data, now)


# --- checked ---------------------------------------------------------------------------------------


def _from_document(document: Any, now: datetime, *, harmless: bool = False) -> Event:
    """From the JSON format's object. `harmless`: its values need no look, see `is_harmless`."""
    if not isinstance(document, dict):
        raise EventError("body", f"is {kind_of(document)}; expected an object, the CloudEvent")
    version = document.get("specversion")
    if version != "1.0":
        raise EventError("specversion", f'is {shown(version)}; expected the string "1.0"')
    data = document.get("data")
    if data is not None:
        if document.get("data_base64") is not None:
            raise EventError("data_base64", "stands beside data; expected one of the two")
        if not harmless:
            check_value(data, 2, "data")
        if type(data) is str:
            data = decode_twice_encoded(data, document.get("datacontenttype"))
    elif document.get("data_base64") is not None:
        data = from_base64(document["data_base64"], document.get("datacontenttype"))
    return _build(_unfolded(document), data, now)


def _unfolded(document: dict[str, Any]) -> dict[str, Any]:
    """Published clients (cloudevents 1.x, `Event.Properties`) write extensions as CloudEvents 0.2 had them: as an
    object `extensions` beside the attributes.
    """
    inside = document.get("extensions")
    if not isinstance(inside, dict):
        return document
    attributes = {name: value for name, value in inside.items() if name not in _NOT_EXTENSIONS}
    return attributes | {name: value for name, value in document.items() if name != "extensions"}


def _build(attributes: Mapping[str, Any], data: Any, now: datetime) -> Event:
    """Check every attribute; a null one counts as absent (JSON event format section 2.2)."""
    get = attributes.get
    id, source, event_type = get("id"), get("source"), get("type")
    for name, value in (("id", id), ("source", source), ("type", event_type)):
        check_text(name, value, MAX_ATTRIBUTE)
    subject, content_type, schema = get("subject"), get("datacontenttype"), get("dataschema")
    if subject is not None:
        check_text("subject", subject, MAX_ATTRIBUTE)
    if content_type is not None:
        check_text("datacontenttype", content_type, MAX_ATTRIBUTE)
    if schema is not None:
        check_text("dataschema", schema, MAX_EXTENSION)
    extensions = {
        name: extension(name, value)
        for name, value in attributes.items()
        if name not in _NOT_EXTENSIONS and value is not None
    }
    time = get("time")
    return Event(
        id=id,  # type: ignore[arg-type] # checked above, as the next two
        source=source,  # type: ignore[arg-type]
        type=event_type,  # type: ignore[arg-type]
        time=now if time is None else time_of(time),
        subject=subject,
        datacontenttype=content_type,
        dataschema=schema,
        data=data,
        extensions=extensions,
    )


def _limit(body: bytes, limit: int, what: str) -> None:
    if len(body) > limit:
        raise EventError("body", f"has {len(body)} bytes; expected {what} of at most {limit}")
