"""Subscriptions: where matching events are pushed to, in which form, how often it is tried, and what a test sends.

By Standard Webhooks: `webhook-id` names the message and stays the same however often it is sent, and each attempt
has its own `webhook-timestamp` and `webhook-signature`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

from ferris import events, lifecycle
from ferris.attributes import PLATFORM_ONLY
from ferris.content import is_json
from ferris.errors import EventError, FerrisError
from ferris.events import Event
from ferris.routing import FilterError, RoutingTable, Trigger, check_pattern
from ferris.signatures import STANDARD, Check

STRUCTURED: Final = "structured"
BINARY: Final = "binary"
FORMS: Final = (
    (STRUCTURED, "CloudEvents, structured: the whole event as JSON"),
    (BINARY, "CloudEvents, binary: the data as the body, the rest in ce- headers"),
)
TEST_TYPE: Final = "ferris.subscription.test"
ENDED: Final = {
    "completed": lifecycle.COMPLETED,
    "failed": lifecycle.FAILED,
    "cancelled": lifecycle.CANCELLED,
}
"""The event that tells of the end of an execution, by its status."""
ENDED_PATTERNS: Final = (*ENDED.values(), "ferris.execution.*")
"""Event types that ask for such ends; `*` and `ferris.*` do not: that would be a message for every execution."""
MAX_ERROR: Final = 2000
DISABLED_TYPE: Final = "ferris.subscription.disabled"
HOPS: Final = "Ferris-Hops"
SIGNING: Final = Check(STANDARD)

SCHEDULE: Final = (
    *(5.0, 5 * 60.0, 30 * 60.0),
    *(2 * 3600.0, 5 * 3600.0, 10 * 3600.0, 14 * 3600.0, 20 * 3600.0, 24 * 3600.0),
)
"""Seconds from one attempt to the next, as Standard Webhooks recommends: ten attempts over three days."""
JITTER: Final = 0.2
LONGEST_WAIT: Final = 24 * 3600.0
GONE: Final = 410

MAX_URL: Final = 2000
MAX_HEADERS: Final = 20
_IDS: Final = uuid.UUID("3c8e0f5a-2b1d-5c47-9f6e-7d4a1b0c9e25")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE: Final = re.compile(r"[\x20-\x7e]{1,2000}")
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]{2,45}")
_OURS: Final = frozenset(
    {
        *("host", "connection", "keep-alive", "upgrade", "te", "trailer", "transfer-encoding", "expect"),
        *("content-length", "content-type", "content-encoding", "accept-encoding", "user-agent"),
        *("proxy-authorization", "proxy-connection", HOPS.lower()),
    }
)


class SubscriptionError(FerrisError):
    """A setting that cannot be: the field and what was expected."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"{self.name} {self.problem}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. Made by `target`, which checks."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def shown(self) -> str:
        """Scheme and host: the path and the query of some receivers are as good as a password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.secure else 80)
        return f"{'https' if self.secure else 'http'}://{host}{'' if usual else f':{self.port}'}"


def target(url: str) -> Target:
    """Where a URL leads. SubscriptionError."""
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL or not url.isascii() or not url.isprintable():
        raise SubscriptionError("url", f"is no URL of at most {MAX_URL} ASCII characters")
    if " " in url or "\\" in url:
        raise SubscriptionError("url", "holds a space or a backslash; write them as %20 and %5C")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SubscriptionError("url", f"is no URL: {error}") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise SubscriptionError("url", "does not begin with https:// or http://")
    if "@" in parts.netloc:
        raise SubscriptionError("url", "holds a user or a password; put them into a secret header")
    if "#" in url:
        raise SubscriptionError("url", "holds a fragment (#…), which no server sees; leave it out")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or port == 0:
        raise SubscriptionError("url", "names no host")
    secure = parts.scheme.lower() == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure, host, port or (443 if secure else 80), path)


def check_headers(name: str, headers: Any) -> dict[str, str]:
    """Headers that are sent along. SubscriptionError, which never tells a value."""
    if not isinstance(headers, Mapping) or len(headers) > MAX_HEADERS:
        raise SubscriptionError(name, f'is no object of at most {MAX_HEADERS}, like {{"X-Tenant": "blue"}}')
    found = {}
    for header, value in headers.items():
        if not isinstance(header, str) or not _HEADER.fullmatch(header):
            raise SubscriptionError(name, f"names {str(header)[:100]!r}, which can be no header")
        if header.lower() in _OURS or header.lower().startswith(("webhook-", "ce-")):
            raise SubscriptionError(name, f"names {header!r}, which the platform sets itself")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise SubscriptionError(
                name, f"{header} has a value that is not 1 to 2000 printable ASCII characters"
            )
        found[header] = value
    return found


def check_wanted(
    event_type: str, filter: Mapping[str, Any] | None, cesql: str | None, id: str = ""
) -> Trigger:
    """Which events, in the language of manifests. SubscriptionError names the field and the place."""
    if filter is not None and cesql:
        raise SubscriptionError("cesql", "stands beside a filter; give one of the two")
    try:
        check_pattern(event_type)
    except ValueError as error:
        raise SubscriptionError("event_type", str(error)) from None
    trigger = Trigger(id, "", event_type, filter=filter, cesql=cesql or None)
    try:
        RoutingTable([trigger])
    except FilterError as error:
        raise SubscriptionError("filter" if not cesql else "cesql", str(error)) from None
    return trigger


def delivery_id(subscription: uuid.UUID, event: uuid.UUID) -> uuid.UUID:
    """One event is one message to one subscription, whoever finds so and however often."""
    return uuid.uuid5(_IDS, f"{subscription}/{event}")


def message_id(delivery: uuid.UUID) -> str:
    """The `webhook-id`: the same for every attempt."""
    return f"msg_{delivery.hex}"


def message(event: Event, form: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of an event, without what only the platform sets. EventError when it cannot be written."""
    ours = {name: value for name, value in event.extensions.items() if name not in PLATFORM_ONLY}
    event = replace(event, extensions=ours)
    if form == STRUCTURED:
        return {"Content-Type": f"{events.STRUCTURED}; charset=UTF-8"}, events.encode(event)
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": events.rfc3339(event.time),
        "subject": event.subject,
        "dataschema": event.dataschema,
        **event.extensions,
    }
    headers = {f"ce-{name}": _percent(value) for name, value in attributes.items() if value is not None}
    kind, data = event.datacontenttype, event.data
    if data is None:
        return headers, b""
    headers["Content-Type"] = kind or "application/json"
    if isinstance(data, (bytes, bytearray)):
        return headers, bytes(data)
    if isinstance(data, str) and kind and not is_json(kind):
        return headers, data.encode()
    try:
        return headers, json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise EventError("data", f"cannot be written as JSON: {error}") from None


def _percent(value: object) -> str:
    """As the HTTP binding 1.0.2 (3.1.3.2) writes a value: all but printable ASCII, and space, quote and percent."""
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return quote(text, safe="!#$&'()*+,-./:;<=>?@[\\]^_`{|}~")


def signed(
    secrets: Sequence[str], body: bytes, *, id: str, now: datetime, check: Check = SIGNING
) -> dict[str, str]:
    """The headers that prove it: one signature by each secret that counts now, the newest first."""
    made = [check.sign(secret, body, id=id, now=now) for secret in secrets]
    return {**made[0], "webhook-signature": " ".join(one["webhook-signature"] for one in made)}


def next_attempt(
    tries: int, now: datetime, chance: float, retry_after: float | None = None
) -> datetime | None:
    """When to try again after so many tries; None: no more. `chance`, from 0 to 1, spreads what failed together.

    A receiver that asks for more time gets it, up to a day.
    """
    if tries > len(SCHEDULE):
        return None
    wait = SCHEDULE[tries - 1] * (1 + JITTER * chance)
    return now + timedelta(seconds=max(wait, min(retry_after or 0.0, LONGEST_WAIT)))


def hops_of(headers: Mapping[str, str]) -> int:
    """How many hops a request has behind it that a subscription sent; names in lower case. With it, an event that
    comes back by way of a webhook goes round only as often as any other."""
    text = headers.get(HOPS.lower(), "")
    return min(int(text), 1_000_000) + 1 if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def test_event(id: uuid.UUID, name: str, project: str, now: datetime) -> Event:
    """What the test button sends: always the same for one delivery."""
    data = {"message": "A sample, sent to test the subscription.", "subscription": name, "project": project}
    return events.new(TEST_TYPE, "ferris/subscriptions", data, now=now, id=str(id), subject=name)


def ended_event(
    execution: uuid.UUID, *, status: str, at: datetime, flow: str, hops: int, said: Mapping[str, Any]
) -> Event:
    """Tells that an execution ended."""
    return events.new(
        ENDED[status],
        "ferris/executions",
        {**said, "finished_at": events.rfc3339(at)},
        now=at,
        id=str(uuid.uuid5(_IDS, f"{execution}/ended")),
        subject=str(execution),
        correlation_id=flow,
        hops=hops,
    )


def disabled_event(
    id: uuid.UUID, *, name: str, project: str, receiver: str, reason: str, failing_since: datetime | None,
    waiting: int, at: datetime,
) -> Event:  # fmt: skip
    """Tells that a subscription was switched off. Told twice, it is the same event."""
    data = {
        "subscription": name,
        "project": project,
        "receiver": receiver,
        "reason": reason,
        "failing_since": failing_since and events.rfc3339(failing_since),
        "waiting": waiting,
    }
    own = str(uuid.uuid5(_IDS, f"{id}/disabled/{at.isoformat()}"))
    return events.new(DISABLED_TYPE, f"ferris/project/{project}", data, now=at, id=own, subject=name)
