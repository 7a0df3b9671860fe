"""Which configuration a service was given at a time that is past, found again by the marks that were noted then.

A mark tells a content for certain (`values.mark_of`), a time would not: a change has the time at which its writer
began, by the clock of its machine, and may have come before or after the claim of that moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any

from django.db.models import Q

from ferris.errors import BackendError
from ferris.json_values import object_of
from ferris.scopes import Given, Scope, given, merged
from ferris_web import wiring
from ferris_web.catalog.models import Service, ValueChange
from ferris_web.catalog.values import Kind, Place, mark_of


@dataclass(frozen=True)
class Then:
    """One value as it was given. Without `content` it is not known any more: `masked` when a secret stands in it."""

    place: Place
    absent: bool = False
    masked: bool = False
    content: bytes | None = None
    change: int | None = None
    """Which change of the value it was; None: of which nothing is kept."""
    newest: int | None = None
    changed: bool | None = None
    """Since then; None: its store cannot be asked."""
    until: datetime | None = None
    """When it was replaced."""

    @property
    def known(self) -> bool:
        """What it was is certain."""
        return self.absent or self.content is not None

    @property
    def object(self) -> dict[str, Any]:
        """What scripts found in it."""
        return object_of(self.content)


@dataclass(frozen=True)
class GivenThen:
    """What a service was given."""

    sources: Sequence[Then]
    """The configurations, the nearest first."""
    env: Then
    values: Sequence[Given] = field(init=False)
    """What is certain of it: a scope that is not known may have hidden any name of farther ones."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", given(self._layers))

    @property
    def _layers(self) -> dict[Scope, dict[str, Any]]:
        return {one.place.scope: one.object for one in takewhile(lambda one: one.known, self.sources)}

    @property
    def config(self) -> dict[str, Any] | None:
        """All of it, as scripts saw it; None when that is not certain."""
        return merged(self._layers) if all(one.known for one in self.sources) else None


def given_then(service: Service, noted: Iterable[tuple[Mapping[str, str], datetime]]) -> list[GivenThen]:
    """What the service was given, for each of what `Configs.marks` said at about that time."""
    noted = list(noted)
    if not noted:
        return []
    places = [
        Place(Kind.CONFIG, service),
        Place(Kind.CONFIG, service.project),
        Place(Kind.CONFIG),
        Place(Kind.ENV),
    ]
    look = _Look(places, {mark for marks, _ in noted for mark in marks.values()})
    found = []
    for marks, at in noted:
        *sources, env = (look.then(place, marks.get(_source(place), ""), at) for place in places)
        found.append(GivenThen(sources, env))
    return found


def _source(place: Place) -> str:
    return Kind.ENV.value if place.kind == Kind.ENV else place.scope.value


class _Look:
    """The histories of some values, as far as these marks need it, and what is there now."""

    def __init__(self, places: Sequence[Place], marks: set[str]) -> None:
        keys = [place.key for place in places]
        wanted = Q(mark__in={*marks, ""}) | Q(until=None) | Q(number=1)
        rows = ValueChange.objects.filter(wanted, key__in=keys)
        self._changes: dict[tuple[str, str], list[ValueChange]] = {}
        self._newest: dict[str, ValueChange] = {}
        self._first: dict[str, ValueChange] = {}
        for row in rows.order_by("number").defer("value"):
            self._changes.setdefault((row.key, row.mark), []).append(row)
            self._newest[row.key] = row
            if row.number == 1:
                self._first[row.key] = row
        # Of one mark, one content is enough: they are all the same.
        alike = {rows[-1].pk for (_, mark), rows in self._changes.items() if mark in marks}
        contents = ValueChange.objects.filter(pk__in=alike, masked=False).values_list("key", "mark", "value")
        self._contents = {(key, mark): bytes(value) for key, mark, value in contents if value is not None}
        try:
            entries = wiring.config_store().get_many(keys)
        except BackendError:
            self._now = None
        else:
            self._now = {key: entry.value for key, entry in entries.items()}

    def then(self, place: Place, mark: str, at: datetime) -> Then:
        """What had that mark, at about that time."""
        rows = self._changes.get((place.key, mark), [])
        first, newest = self._first.get(place.key), self._newest.get(place.key)
        row = next((row for row in reversed(rows) if row.since <= at), None)
        if row is None and rows and mark:
            row = rows[0]  # its writer's clock goes ahead
        until = row.until if row else first.since if first and not mark else None
        there = None if self._now is None else self._now.get(place.key)
        same = None if self._now is None else mark_of(there) == mark
        content = self._contents.get((place.key, mark))
        if row is None and mark and same:
            content = there  # it was written elsewhere, and nobody has looked at it since
        return Then(
            place,
            absent=not mark,
            masked=bool(row and row.masked),
            content=content,
            change=row.number if row else None,
            newest=newest.number if newest else None,
            changed=None if same is None else not same,
            until=until,
        )
