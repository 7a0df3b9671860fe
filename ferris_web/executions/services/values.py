"""Changing a configuration or a state by hand: the one way of console, REST API and commands."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from ferris.errors import Conflict
from ferris.ports import MAX_CONFIG_VALUE, Entry
from ferris_web.catalog.configs import encode_config
from ferris_web.catalog.models import ValueChange
from ferris_web.catalog.secret_texts import hides
from ferris_web.catalog.value_history import content_of
from ferris_web.catalog.values import Kind, Place, person, value_delete, value_now, value_put
from ferris_web.executions.services.state import state_delete, state_put


def value_get(place: Place, now: datetime) -> Entry | None:
    """What it is now; changes that did not come through here are noted on the way."""
    return value_now(place, now, lambda value: hides(place.owner, value))


def value_set(place: Place, value: Any, *, actor: str, now: datetime, cas: int | None = None) -> bool:
    """Set it to a JSON value; False when `cas` does not hold. ValueError for what it cannot be."""
    if place.kind != Kind.STATE and not isinstance(value, dict):
        raise ValueError("a configuration is a JSON object, {...}")
    text = encoded(place, value)
    if len(text) > MAX_CONFIG_VALUE:
        raise ValueError(f"has {len(text)} bytes; at most {MAX_CONFIG_VALUE} are kept")
    return _put(place, text, actor=actor, now=now, cas=cas)


def value_remove(place: Place, *, actor: str, now: datetime, cas: int | None = None) -> bool:
    """Remove it; False when `cas` does not hold."""
    if place.kind == Kind.STATE and place.service is not None:
        return state_delete(place.service, cas=cas, actor=actor, now=now)
    return value_delete(place, by=person(actor), now=now, cas=cas)


def value_restore(
    place: Place, change: ValueChange, *, actor: str, now: datetime, cas: int | None = None
) -> bool:
    """Make it again what that change made it; False when `cas` does not hold. Conflict when that was not kept."""
    if change.removed:
        return value_remove(place, actor=actor, now=now, cas=cas)
    content = content_of(change)
    if content is None:
        raise Conflict(
            f"change {change.number} held a secret, so its value was not kept: it cannot be had back"
        )
    return _put(place, content, actor=actor, now=now, cas=cas)


def encoded(place: Place, value: Any) -> bytes:
    """A value as it is stored."""
    if place.kind != Kind.STATE:
        return encode_config(value)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _put(place: Place, text: bytes, *, actor: str, now: datetime, cas: int | None) -> bool:
    if place.kind == Kind.STATE and place.service is not None:
        return state_put(place.service, text, cas=cas, actor=actor, now=now)
    return value_put(place, text, by=person(actor), now=now, cas=cas, masked=hides(place.owner, text))
