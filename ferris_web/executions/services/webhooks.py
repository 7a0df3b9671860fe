"""What comes to a webhook: verified, made an event, appended to the log; and what came is noted for administrators.

The event is durable before it is noted, so that a note of an accepted one is true. Sent again with the same id, a
request is answered the same and appended no second time; should two come at once, source and id keep the second one
from running anything.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from ferris.content import media_type
from ferris.errors import BackendError, EventError
from ferris.events import Event
from ferris.pushing import hops_of
from ferris.signatures import NotGenuine, WrongSetting, hidden
from ferris.webhooks import data_of, masked
from ferris_web.catalog import webhooks as catalog
from ferris_web.catalog.models import Webhook, WebhookDelivery
from ferris_web.executions.models import Event as Journal
from ferris_web.executions.services.requests import events_accept

_SHOWN = 4000  # characters of a body
_PARSED = 64 * 1024  # bytes of a body that are looked through for secrets; of a longer one nothing is shown
_MOST_HEADERS = 40
_NOTES_AT_ONCE = 20  # of refused requests; then one a second, lest strangers keep the database busy

_Outcome = WebhookDelivery.Outcome


class _Pace:
    """So many at once, then one a second: for each webhook."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[float, float]] = {}

    def lets(self, webhook: int) -> bool:
        now = time.monotonic()
        left, since = self._of.get(webhook, (float(_NOTES_AT_ONCE), now))
        left = min(float(_NOTES_AT_ONCE), left + now - since)
        self._of[webhook] = (max(left - 1, 0.0) if left >= 1 else left, now)
        return left >= 1


_pace = _Pace()


def webhook_receive(
    name: str, headers: Mapping[str, str], body: bytes, *, now: datetime, test: bool = False
) -> Event:
    """The event that a request became; durable when it returns.

    NotGenuine when the webhook is unknown or switched off, or the sender did not prove itself; EventError when
    the sender did, and the request can be no event.
    """
    webhook = Webhook.objects.filter(name=name).first()
    if webhook is None:
        raise NotGenuine("there is no such webhook")
    lower = {key.lower(): value for key, value in headers.items()}
    secrets = catalog.secrets_at(webhook, now)
    note = WebhookDelivery(
        webhook=webhook, received_at=now, outcome=_Outcome.REFUSED, size=len(body), test=test
    )
    try:
        event = _event(webhook, secrets, lower, body, now)
    except NotGenuine as error:
        # The body of a stranger is not kept: nobody vouches for what it holds.
        note.detail = str(error)
        if _pace.lets(webhook.pk):
            catalog.delivery_add(note)
        raise
    except EventError as error:
        note.outcome, note.detail = _Outcome.INVALID, hidden(str(error), secrets)[:500]
        _show(note, webhook, secrets, lower, body)
        catalog.delivery_add(note)
        raise
    note.event_key, note.event_id, note.event_type = event.key, event.id, event.type
    if _came_before(webhook, event):
        note.outcome = _Outcome.DUPLICATE
    else:
        try:
            [event] = events_accept([event], now=now, hops=hops_of(lower))
        except EventError as error:
            note.outcome, note.detail, note.event_key = _Outcome.INVALID, str(error)[:500], None
            _show(note, webhook, secrets, lower, body)
            catalog.delivery_add(note)
            raise
        note.outcome = _Outcome.ACCEPTED
    _show(note, webhook, secrets, lower, body)
    catalog.delivery_add(note)
    return event


def webhook_test(webhook: Webhook, *, now: datetime) -> Event:
    """Send it a sample, signed as its sender would, on the way of every other. It becomes an event like any other.

    NotGenuine, EventError as `webhook_receive`.
    """
    full = Webhook.objects.get(pk=webhook.pk)
    check, shape = catalog.check_of(full), catalog.shape_of(full)
    id = f"test-{uuid4()}"
    headers, content = shape.sample(id, check)
    body = json.dumps(content).encode()
    secrets = catalog.secrets_at(full, now)
    headers |= check.sign(secrets[0] if secrets else "", body, id=id, now=now)
    return webhook_receive(full.name, headers, body, now=now, test=True)


def _event(
    webhook: Webhook, secrets: list[str], headers: Mapping[str, str], body: bytes, now: datetime
) -> Event:
    if not webhook.active:
        raise NotGenuine("the webhook is switched off")
    try:
        check, shape = catalog.check_of(webhook), catalog.shape_of(webhook)
    except WrongSetting as error:
        raise BackendError("webhook", f"{webhook.name}: {error}", "save it again in the console") from None
    check.verify(secrets, headers, body, now=now, window=webhook.window_seconds)
    return shape.event(headers, body, now=now)


def _came_before(webhook: Webhook, event: Event) -> bool:
    noted = webhook.deliveries.filter(event_key=event.key, outcome=_Outcome.ACCEPTED)
    return noted.exists() or Journal.objects.filter(pk=event.key).exists()


def _show(
    note: WebhookDelivery, webhook: Webhook, secrets: list[str], headers: Mapping[str, str], body: bytes
) -> None:
    private = catalog.check_of(webhook).private_headers
    shown = {key: value for key, value in headers.items() if key not in private}
    masks = masked(dict(sorted(shown.items())[:_MOST_HEADERS]))
    note.headers = {key: _safe(value, secrets)[:500] for key, value in masks.items()}
    note.body = _safe(_body(headers.get("content-type", ""), body), secrets)[:_SHOWN]


def _body(content_type: str, body: bytes) -> str:
    if len(body) > _PARSED:
        return f"{len(body)} bytes, too long to be shown"
    try:
        data: Any = data_of(content_type, body)
    except EventError:
        return f"{len(body)} bytes that are no {media_type(content_type) or 'JSON'}"
    if isinstance(data, dict) and set(data) == {"base64"}:
        return f"{len(body)} bytes of {media_type(content_type) or 'no stated type'}"
    return json.dumps(masked(data), ensure_ascii=False, indent=1)


def _safe(text: str, secrets: list[str]) -> str:
    """Without secrets, and without what a database cannot hold."""
    return hidden(text, secrets).encode("utf-8", "replace").decode().replace("\0", "�")
