"""How a service's config.json reaches the configuration store, where people and scripts may change it.

The rule: the store is written when config.json has changed since it was last copied, or when the store has no
value at all. So an edit on the platform survives every sync until somebody changes the file; then the file
wins, and the sync says which edits it replaced. The service remembers a digest of what was last copied.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from ferris.manifest import Message
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.catalog.secret_texts import hides
from ferris_web.catalog.values import By, Kind, Place, Who, value_delete, value_now, value_put

FILE = "config.json"


def encode_config(value: Any) -> bytes:
    """A configuration as it is stored. ValueError for what is no JSON value."""
    return json.dumps(value, allow_nan=False, indent=2).encode()


def config_place(service: Service) -> Place:
    """Where a service's configuration lies."""
    return Place(Kind.CONFIG, service)


def config_put(service: Service, text: bytes, *, by: By, now: datetime, cas: int | None = None) -> bool:
    """Set the service's configuration (see `encode_config`) on the platform. A sync replaces it only when config.json
    has changed. False when `cas` does not hold (see `ConfigStore.put`)."""
    return value_put(config_place(service), text, by=by, now=now, cas=cas, masked=hides(service, text))


def config_delete(service: Service, *, by: By, now: datetime, cas: int | None = None) -> bool:
    """Remove the service's configuration; the next sync copies config.json again, if there is one. False when `cas`
    does not hold."""
    return value_delete(config_place(service), by=by, now=now, cas=cas)


def config_sync(
    service: Service, value: Any, *, now: datetime, commit: str = "", dry: bool = False
) -> Message | None:
    """Copy the content of config.json to the store, or leave the store alone, as the rule says.

    `dry` leaves it alone in any case. Sets `service.config_digest`, which the
    caller saves. The message, if any, names keys and never values.
    """
    if value is None:
        service.config_digest = ""
        return None
    store = wiring.config_store()
    entry = store.get(service.name)
    now_there = _digest_of(entry.value) if entry else ""
    file, copied = _digest(value), service.config_digest
    if file == now_there:
        service.config_digest = file
        return None
    if file == copied and entry is not None:
        return Message(
            "info", FILE, "", "was edited on the platform and has not changed here: the platform's is kept"
        )
    if not dry:
        value_now(
            config_place(service), now, lambda edited: hides(service, edited)
        )  # so that it can be had back
        config_put(service, encode_config(value), by=By(Who.SYNC, commit[:12]), now=now)
    service.config_digest = file
    if entry is None or now_there == copied:
        return Message("info", FILE, "", "copied to the platform")
    text = f"replaces a configuration that was edited on the platform{_differing(entry.value, value)}"
    return Message("warning", FILE, "", text)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _digest_of(stored: bytes) -> str:
    try:
        return _digest(json.loads(stored))
    except ValueError:
        return "no JSON"


def _differing(stored: bytes, value: Any) -> str:
    try:
        before = json.loads(stored)
    except ValueError:
        return ""
    if not isinstance(before, dict) or not isinstance(value, dict):
        return ""
    names = sorted(name for name in before.keys() | value.keys() if before.get(name) != value.get(name))
    return f" (different now: {', '.join(names)})"
