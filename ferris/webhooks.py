"""From a webhook's request to a CloudEvent: which type, which id, which data.

Where a value comes from is written `header:NAME` or `field:PATH`, a path of the JSON body with dots; for the id
also `digest`, the body's own SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from ferris import events
from ferris.attributes import extension
from ferris.content import load, media_type
from ferris.errors import EventError
from ferris.signatures import GITHUB, STANDARD, STRIPE, Check, WrongSetting

DEFAULT_TYPE: Final = "ferris.events.webhook.incoming"
DIGEST: Final = "digest"
MAX_BODY: Final = events.MAX_EVENT_BYTES
MAX_HEADERS: Final = 20

_PLACE: Final = re.compile(r"(header:[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}|field:[^\s.]+(\.[^\s.]+)*)")
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,20}")
_MEMBER: Final = re.compile(r"data\.[A-Za-z0-9_-]{1,100}")
_PRIVATE_NAMES: Final = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|authorization|api[_-]?key|private[_-]?key|credential", re.I
)
_OWN_ID: Final = {STANDARD: "header:webhook-id", GITHUB: "header:X-GitHub-Delivery", STRIPE: "field:id"}


@dataclass(frozen=True)
class Shape:
    """What becomes of a source's requests. Made by `parse`, which checks."""

    source: str
    event_type: str = DEFAULT_TYPE
    type_from: str = ""
    id_from: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(
        cls,
        source: str,
        check: Check,
        *,
        event_type: str,
        type_from: str,
        id_from: str,
        headers: Any,
        forbidden: tuple[str, ...] = (),
    ) -> Shape:
        """WrongSetting. An id that is left out is the one that the provider itself gives its deliveries."""
        if not event_type or len(event_type) > 400 or not event_type.isprintable() or " " in event_type:
            raise WrongSetting("event_type", "is not a type of 1 to 400 characters without spaces")
        if events.is_reserved(event_type + "."):
            raise WrongSetting("event_type", f"{event_type!r} is reserved for the platform")
        if type_from and not _PLACE.fullmatch(type_from):
            raise WrongSetting("type_from", f"is {type_from!r}; expected header:NAME or field:PATH")
        if id_from and id_from != DIGEST and not _PLACE.fullmatch(id_from):
            raise WrongSetting("id_from", f"is {id_from!r}; expected header:NAME, field:PATH or digest")
        for place_field, place in (("type_from", type_from), ("id_from", id_from)):
            if place.lower().removeprefix("header:") in check.private_headers:
                raise WrongSetting(place_field, "names a header that proves the sender")
        _check_headers(headers, check.private_headers, forbidden)
        return cls(source, event_type, type_from, id_from or _OWN_ID.get(check.kind, ""), dict(headers))

    def event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> events.Event:
        """The event. EventError names what is missing or cannot be read. Names of `headers` are in lower case."""
        data = data_of(headers.get("content-type", ""), body)
        event_type = self.event_type
        if self.type_from:
            event_type = f"{event_type}.{_value(self.type_from, headers, data, 'type')}"
        extensions: dict[str, str | int | bool] = {}
        for name, target in self.headers.items():
            value = headers.get(name.lower())
            if value is None:
                continue
            if target.startswith("data."):
                data = data if isinstance(data, dict) else {"body": data}
                data = {**data, target.removeprefix("data."): value}
            else:
                extensions[target] = extension(target, value)
        id = self._id(headers, body, data)
        return events.new(event_type, self.source, data, now=now, id=id, extensions=extensions)

    def sample(self, id: str, check: Check) -> tuple[dict[str, str], dict[str, Any]]:
        """Headers and body, a JSON object, of a request with what this asks for."""
        headers: dict[str, str] = {"Content-Type": "application/json"}
        body: dict[str, Any] = {"message": "A sample, sent to test the webhook.", "test": True}
        for place, value in ((self.type_from, "test"), (self.id_from, id)):
            kind, _, name = place.partition(":")
            if kind == "header":
                headers[name] = value
            elif kind == "field":
                inner = body
                *above, last = name.split(".")
                for part in above:
                    inner = inner.setdefault(part, {})
                inner[last] = value
        return headers, body

    def _id(self, headers: Mapping[str, str], body: bytes, data: Any) -> str:
        if not self.id_from:
            return str(uuid.uuid4())
        if self.id_from == DIGEST:
            return hashlib.sha256(body).hexdigest()
        if self.id_from == _OWN_ID[STANDARD] and "webhook-id" not in headers and "svix-id" in headers:
            return headers["svix-id"]
        return _value(self.id_from, headers, data, "id")


def data_of(content_type: str, body: bytes) -> Any:
    """A body as the data of an event: JSON as it is, a form as an object, else {"text"} or {"base64"}. EventError."""
    media = media_type(content_type)
    if media == "application/json" or media.endswith("+json"):
        return load(body, "body")
    if media == "application/x-www-form-urlencoded":
        return _form(body)
    if not media:
        try:
            return load(body, "body")
        except EventError:
            pass
    if not media or media.startswith("text/") or media in ("application/xml", "application/yaml"):
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(body).decode()}
        if "\0" not in text:
            return {"text": text}
    return {"base64": base64.b64encode(body).decode()}


def masked(value: Any, depth: int = 0) -> Any:
    """JSON as it may be shown: members whose name says that they are secret are hidden, long lists cut."""
    if isinstance(value, Mapping) and depth < 20:
        return {
            key: "•••"
            if _PRIVATE_NAMES.search(key) and inner not in (None, "", True, False)
            else masked(inner, depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list) and depth < 20:
        return [masked(inner, depth + 1) for inner in value[:100]]
    return value if not isinstance(value, (Mapping, list)) else "…"


def _check_headers(headers: Any, private: frozenset[str], forbidden: tuple[str, ...]) -> None:
    if not isinstance(headers, Mapping) or len(headers) > MAX_HEADERS:
        raise WrongSetting(
            "headers", f'is no object of at most {MAX_HEADERS}, like {{"X-Tenant": "data.tenant"}}'
        )
    for name, target in headers.items():
        if not _PLACE.fullmatch(f"header:{name}"):
            raise WrongSetting("headers", f"names {name!r}, which can be no header")
        if name.lower() in private:
            raise WrongSetting("headers", f"names {name!r}, which proves the sender and is not passed on")
        if not isinstance(target, str) or not (_EXTENSION.fullmatch(target) or _MEMBER.fullmatch(target)):
            raise WrongSetting(
                "headers", f"{name} has {target!r}; expected an extension (a-z, 0-9) or data.NAME"
            )
        attribute = target in ("id", "source", "type", "specversion", "time", "subject", "data")
        if target in forbidden or attribute or (target.startswith("data") and not _MEMBER.fullmatch(target)):
            raise WrongSetting("headers", f"{name} has {target!r}, which may not be set from outside")


def _value(place: str, headers: Mapping[str, str], data: Any, attribute: str) -> str:
    kind, _, name = place.partition(":")
    value: Any = data
    if kind == "header":
        value = headers.get(name.lower())
    else:
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise EventError(attribute, f"is not to be had: the request has no text or whole number at {place}")
    return str(value)


def _form(body: bytes) -> Any:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1000, errors="strict")
    except ValueError:
        raise EventError("body", "is no form in UTF-8 of at most 1000 fields") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            kept = fields[name] if isinstance(fields[name], list) else [fields[name]]
            fields[name] = [*kept, value]
        else:
            fields[name] = value
    if list(fields) == ["payload"] and isinstance(fields["payload"], str):  # GitHub's form
        return load(fields["payload"].encode(), "payload")
    return fields
