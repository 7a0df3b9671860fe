"""Configuration: what services get from the three scopes, and how a service's config.json reaches the store.

The rule of a sync: the store is written when config.json has changed since it was last copied, or when the store has no
value at all. So an edit on the platform survives every sync until somebody changes the file; then the file
wins, and the sync says which edits it replaced. The service remembers a digest of what was last copied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ferris.errors import BackendError
from ferris.manifest import Message
from ferris.ports import Entry
from ferris.scopes import Scope, merged
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.catalog.secret_texts import hides
from ferris_web.catalog.values import (
    ENV_KEY,
    PLATFORM_KEY,
    By,
    Kind,
    Place,
    Who,
    mark_of,
    project_key,
    value_now,
    value_put,
)

FILE = "config.json"


def encode_config(value: Any) -> bytes:
    """A configuration as it is stored. ValueError for what is no JSON value."""
    return json.dumps(value, allow_nan=False, indent=2).encode()


class ConfigUnreadable(BackendError):
    """A configuration is no JSON; trying again does not help."""


class Configs:
    """The configurations of some services, each given by its name and its project's, and ferris.env: read at once."""

    def __init__(self, services: Iterable[tuple[str, str]]) -> None:
        keys = {key for name, project in services for key in _keys(name, project).values()}
        self._entries = wiring.config_store().get_many(keys)
        self._read: dict[str, dict[str, Any]] = {}
        self._marks: dict[str, str] = {}

    def layers(self, service: str, project: str) -> dict[Scope, dict[str, Any]]:
        """What each scope has for a service. ConfigUnreadable for what is no JSON."""
        return {
            Scope.PLATFORM: self._part(PLATFORM_KEY, "the platform"),
            Scope.PROJECT: self._part(project_key(project), f"the project {project}"),
            Scope.SERVICE: self._part(service, service),
        }

    def of(self, service: str, project: str) -> dict[str, Any]:
        """What a service gets."""
        return merged(self.layers(service, project))

    def entry(self, service: str, project: str) -> Entry | None:
        """The same as a script finds it in the store under its service's name: as it lies there when it is all."""
        own = self._entries.get(service)
        farther = [self._entries[key] for key in (PLATFORM_KEY, project_key(project)) if key in self._entries]
        if not farther:
            return own
        index = max(entry.index for entry in (*farther, *((own,) if own else ())))
        return Entry(service, encode_config(self.of(service, project)), index)

    def marks(self, service: str, project: str) -> dict[str, str]:
        """By which what a service gets is known again, whatever becomes of it: see `config_history`. Only of what
        is there."""
        return {
            source: self._mark(key) for source, key in _keys(service, project).items() if key in self._entries
        }

    def _mark(self, key: str) -> str:
        found = self._marks.get(key)
        if found is None:
            found = self._marks[key] = mark_of(self._entries[key].value)
        return found

    def _part(self, key: str, whose: str) -> dict[str, Any]:
        found = self._read.get(key)
        if found is None:
            found = self._read[key] = self._parsed(key, whose)
        return found

    def _parsed(self, key: str, whose: str) -> dict[str, Any]:
        entry = self._entries.get(key)
        try:
            value = json.loads(entry.value) if entry else {}
        except (ValueError, RecursionError):
            raise ConfigUnreadable(
                f"the configuration of {whose}", "is no JSON", "write it again on its page, or PUT it"
            ) from None
        return value if isinstance(value, dict) else {}


def _keys(service: str, project: str) -> dict[str, str]:
    """Where what a service gets lies."""
    return {
        Scope.PLATFORM.value: PLATFORM_KEY,
        Scope.PROJECT.value: project_key(project),
        Scope.SERVICE.value: service,
        Kind.ENV.value: ENV_KEY,
    }


def configs_of(service: Service) -> Configs:
    """What one service gets."""
    return Configs([(service.name, service.project.name)])


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
    place = Place(Kind.CONFIG, service)
    entry = wiring.config_store().get(place.key)
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
        value_now(place, now, lambda edited: hides(service, edited))  # so that it can be had back
        text = encode_config(value)
        value_put(place, text, by=By(Who.SYNC, commit[:12]), now=now, masked=hides(service, text))
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
