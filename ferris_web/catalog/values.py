"""Configuration and state: where each value lies, how it is changed, and the note that every change leaves.

On a transactional store (the database) the change and its note are one transaction. In Consul the value is written
first: whoever dies in between leaves a change without a note, and so does one who writes to Consul without us. Both are
noted, without a name, when the value is next looked at here (docs/decisions/0024-history-of-values.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac

from ferris.adapters.prepared import Prepared
from ferris.errors import Conflict
from ferris.ports import Entry
from ferris.scopes import Scope
from ferris_web import wiring
from ferris_web.catalog.models import Project, Service, ValueChange

Kind, Who = ValueChange.Kind, ValueChange.By

ENV_KEY: Final = "ferris.env"
PLATFORM_KEY: Final = "ferris/platform"
PROJECTS: Final = "ferris/projects/"
"""With a slash: no service's name has one, and a service's name is the key of its configuration."""

CLOSE: Final = timedelta(seconds=10)
"""Writes of one execution within this time are one change."""
_TRIES: Final = 20


@dataclass(frozen=True)
class Place:
    """One value: a service's state, a configuration of a service, a project or (without an owner) the platform, or
    `ferris.env`, the settings that every script sees."""

    kind: str
    owner: Service | Project | None = None

    @property
    def key(self) -> str:
        """Its key in the configuration store."""
        if self.kind == Kind.ENV:
            return ENV_KEY
        if self.owner is None:
            return PLATFORM_KEY
        if isinstance(self.owner, Project):
            return project_key(self.owner.name)
        return f"{self.owner.name}.state" if self.kind == Kind.STATE else self.owner.name

    @property
    def scope(self) -> Scope:
        """Whose it is."""
        if self.owner is None:
            return Scope.PLATFORM
        return Scope.PROJECT if isinstance(self.owner, Project) else Scope.SERVICE

    @property
    def service(self) -> Service | None:
        """To which service it belongs."""
        return self.owner if isinstance(self.owner, Service) else None

    @property
    def project(self) -> Project | None:
        """To which project it belongs."""
        return self.owner.project if isinstance(self.owner, Service) else self.owner

    @property
    def of(self) -> str:
        """Whose it is, in words."""
        if self.owner is None:
            return "the platform"
        return f"the project {self.owner.name}" if isinstance(self.owner, Project) else self.owner.name

    def __str__(self) -> str:
        if self.kind == Kind.ENV:
            return "settings of ferris.env"
        return f"{'state' if self.kind == Kind.STATE else 'configuration'} of {self.of}"


def project_key(name: str) -> str:
    """Under which key a project's configuration lies."""
    return f"{PROJECTS}{name}"


@dataclass(frozen=True)
class By:
    """Who changes a value."""

    kind: str
    name: str = ""
    execution: UUID | None = None


def person(name: str) -> By:
    """Somebody who is signed in, or whose token is used."""
    return By(Who.PERSON, name)


_OUTSIDE: Final = By(Who.OUTSIDE)


def value_put(
    place: Place, value: bytes, *, by: By, now: datetime, cas: int | None = None, masked: bool = False
) -> bool:
    """Set a value and note it; False when `cas` does not hold (see `ConfigStore.put`). A `masked` one is noted, not
    kept."""
    return _change(
        lambda: wiring.config_store().put(place.key, value, cas=cas), place, value, by, now, masked
    )


def value_delete(place: Place, *, by: By, now: datetime, cas: int | None = None) -> bool:
    """Remove a value and note it; False when `cas` does not hold."""
    return _change(lambda: wiring.config_store().delete(place.key, cas=cas), place, None, by, now, False)


def value_overtaken(place: Place, cas: int | None) -> bool:
    """True when `cas` does not hold, found out without a lock; False when only a write can tell."""
    store = wiring.config_store()
    if cas is None or "transactional" not in store.capabilities:
        return False  # Consul compares without our transaction, so nothing is gained by asking it twice
    entry = store.get(place.key)
    return cas != (entry.index if entry else 0)


def value_now(place: Place, now: datetime, hides: Callable[[bytes], bool]) -> Entry | None:
    """The value as it lies in the store. A change that did not come through here is noted on the way; `hides` says
    whether a secret stands in it."""
    store = wiring.config_store()
    for _ in range(_TRIES):
        known = _newest(place.key)
        entry = store.get(place.key)
        if _agree(known, entry):
            return entry
        again = _newest(place.key)
        if known == again:  # nobody was between: it was changed elsewhere
            value = entry.value if entry else None
            _note(place, value, _OUTSIDE, now, value is not None and hides(value))
            return entry
    return entry


def mark_of(value: bytes | None) -> str:
    """Tells whether two values are equal, and nothing else of them."""
    return "" if value is None else str(salted_hmac("ferris.values", value, algorithm="sha256").hexdigest())


def _change(
    done: Callable[[], bool], place: Place, value: bytes | None, by: By, now: datetime, masked: bool
) -> bool:
    def change() -> bool:
        if not done():
            return False
        _note(place, value, by, now, masked)
        return True

    if "transactional" not in wiring.config_store().capabilities:
        return change()
    with transaction.atomic():
        return change()


@dataclass(frozen=True)
class _Newest:
    """What is known of the newest change of a key."""

    pk: int
    number: int
    mark: str
    removed: bool
    by: str
    execution: UUID | None
    since: datetime
    at: datetime
    writes: int


# Read at every change of a state.
_NEWEST: Final = Prepared(
    lambda keys: (
        ValueChange.objects.filter(key__in=keys, until=None)
        .order_by()
        .values_list(*_Newest.__dataclass_fields__)
    )
)


def _newest(key: str) -> _Newest | None:
    rows = _NEWEST.rows([key])
    return _Newest(*rows[0]) if rows else None


def _agree(known: _Newest | None, entry: Entry | None) -> bool:
    if entry is None:
        return known is None or known.removed
    return known is not None and not known.removed and known.mark == mark_of(entry.value)


def _note(place: Place, value: bytes | None, by: By, now: datetime, masked: bool) -> None:
    said: dict[str, Any] = {
        "value": None if masked else value,
        "masked": masked,
        "removed": value is None,
        "size": len(value or b""),
        "mark": mark_of(value),
        "by": by.kind,
        "actor": by.name[:150],
        "execution": by.execution,
        "at": now,
    }
    for _ in range(_TRIES):
        known = _newest(place.key)
        if known is None:
            if value is None:
                return  # removed what never was there
            if _begun(place, 1, None, said):
                return
        elif _equal(known, said) and (known.by != Who.OUTSIDE or by.kind == Who.OUTSIDE):
            return  # a write that changes nothing
        elif _joins(known, said, now):
            same = ValueChange.objects.filter(pk=known.pk, until=None, writes=known.writes)
            if same.update(**said, writes=known.writes + 1):
                return
        elif _begun(place, known.number + 1, known, said):
            return
    raise Conflict(f"too many change the {place} at once; try again")


def _equal(known: _Newest, said: dict[str, Any]) -> bool:
    return known.removed == said["removed"] and known.mark == said["mark"]


def _joins(known: _Newest, said: dict[str, Any], now: datetime) -> bool:
    """True when a change goes on with the one before it: the same execution's, a moment ago; or what was found in
    the store before its writer, who now comes, had noted it."""
    if known.by == Who.OUTSIDE:
        return _equal(known, said) and now - known.at < CLOSE
    return known.execution is not None and known.execution == said["execution"] and now - known.since < CLOSE


def _begun(place: Place, number: int, before: _Newest | None, said: dict[str, Any]) -> bool:
    """Write a new change in place of the one `before`; False when another was faster."""
    try:
        with transaction.atomic():
            if before is not None:
                closed = ValueChange.objects.filter(pk=before.pk, until=None)
                if not closed.update(until=said["at"]):
                    return False
            ValueChange.objects.create(
                key=place.key,
                number=number,
                kind=place.kind,
                project=place.project,
                service=place.service,
                since=said["at"],
                **said,
            )
    except IntegrityError:
        return False
    return True
