"""Event maps: an event of one type makes one of another type, with fields renamed, constants and templates.

As users write it: `{"<source type>": "<target type>", "<source field>": "<target field>", ...}`. Fields are paths in
the data, with dots.
"""

from __future__ import annotations

import copy
import json
import string
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ferris import events
from ferris.attributes import kind_of, shown
from ferris.errors import FerrisError
from ferris.events import Event

MAPPED, ALL = "mapped", "all"
"""Strategies: only mapped fields, or all fields and what is mapped."""
STRATEGIES: Final = (MAPPED, ALL)
MARK: Final = "ferrismapped"
MOST_FIELDS: Final = 200

_IDS: Final = uuid.UUID("9be2a1f0-3c57-5d0e-8f0b-5d6c0a7e4b12")
_SET_ANEW: Final = frozenset(
    {
        *("correlationid", "causationid", "ferrishops"),
        *(
            "ferrisservice",
            "ferristrigger",
            "ferriseventname",
            "ferrispriority",
            "ferrisjoin",
            "ferrisgathered",
        ),
    }
)


class MapError(FerrisError):
    """A map that cannot be: the field at fault, and what was expected."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}"


@dataclass(frozen=True, slots=True)
class EventMap:
    """One map, checked by `event_map`."""

    source: str
    target: str
    fields: Mapping[str, str] = field(default_factory=dict)
    strategy: str = MAPPED
    constants: Mapping[str, Any] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)

    def data(self, data: Any) -> dict[str, Any]:
        """The data of the event that it makes. A field that is not there is left out, and empty in a template."""
        given = data if isinstance(data, dict) else {}
        made: dict[str, Any] = copy.deepcopy(given) if self.strategy == ALL else {}
        found = {path: value for path in self.fields if (value := _get(given, path)) is not _NOTHING}
        if self.strategy == ALL:
            for path in found:
                _drop(made, path)
        for path, value in found.items():
            _put(made, self.fields[path], copy.deepcopy(value))
        for target, value in self.constants.items():
            _put(made, target, copy.deepcopy(value))
        for target, template in self.templates.items():
            _put(made, target, _filled(template, given))
        return made

    def event(self, event: Event, name: str) -> Event:
        """The event that it makes of another, within its flow. Its id is made of the map's name and the other's
        identity: made twice, it is the same event. EventError when it would be no event."""
        kept = {key: value for key, value in event.extensions.items() if key not in _SET_ANEW}
        parent = event.extensions.get("causationid")
        made = events.new(
            self.target,
            event.source,
            self.data(event.data),
            now=event.time,
            id=str(uuid.uuid5(_IDS, f"{event.key}:{name}")),
            subject=event.subject,
            correlation_id=event.flow_id,
            causation_id=None if parent is None else str(parent),
            hops=event.hops + 1,
            extensions={**kept, MARK: str(event.key)},
        )
        events.encode(made)  # it has no more than an event may have
        return made


def event_map(
    document: Any, strategy: str = MAPPED, constants: Any = None, templates: Any = None
) -> EventMap:
    """The map that users wrote: its first pair are the types. MapError names what is wrong."""
    pairs = list(_texts("map", document).items())
    if not pairs:
        raise MapError(
            "map", 'is empty; expected {"source type": "target type", "source field": "target field"}'
        )
    (source, target), fields = pairs[0], dict(pairs[1:])
    for name in (source, target):
        if not name or len(name) > 512 or "*" in name or not name.isprintable():
            raise MapError(
                "map", f"{name[:60]!r} is no event type; the first pair are the source and target type"
            )
        if events.is_reserved(name):
            raise MapError("map", f"{name!r} is reserved for the platform; choose another type")
    if source == target:
        raise MapError("map", f"maps {source!r} onto itself; choose another target type")
    if strategy not in STRATEGIES:
        raise MapError("strategy", f"is {shown(strategy)}; expected mapped or all")
    if not isinstance(constants := {} if constants is None else constants, Mapping):
        raise MapError("constants", f"is {kind_of(constants)}; expected an object")
    templates = _texts("templates", {} if templates is None else templates)
    targets: dict[str, str] = {}
    for where, names in (("map", fields.values()), ("constants", constants), ("templates", templates)):
        for name in names:
            _claim(where, name, targets)
    for path in fields:
        _steps("map", path)
    for name, template in templates.items():
        for place in _places(name, template):
            _steps(f"templates.{name}", place)
    if len(targets) > MOST_FIELDS:
        raise MapError("map", f"has {len(targets)} fields; expected at most {MOST_FIELDS}")
    return EventMap(source, target, fields, strategy, dict(constants), templates)


def circle(edges: Iterable[tuple[str, str]], source: str, target: str) -> list[str]:
    """The types that a map from source to target would lead through until it is at source again; [] for none."""
    follows: dict[str, list[str]] = {}
    for one, other in edges:
        follows.setdefault(one, []).append(other)
    paths, seen = [[source, target]], {target}
    while paths:
        path = paths.pop()
        if path[-1] == source:
            return path
        for other in follows.get(path[-1], ()):
            if other not in seen:
                seen.add(other)
                paths.append([*path, other])
    return []


def _texts(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise MapError(name, f"is {kind_of(value)}; expected an object")
    for key, text in value.items():
        if not isinstance(text, str):
            raise MapError(f"{name}.{key}", f"is {kind_of(text)}; expected a text")
    return dict(value)


def _claim(where: str, path: str, targets: dict[str, str]) -> None:
    _steps(where, path)
    for other in targets:
        if f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}."):
            raise MapError(where, f"{path!r} is already filled by {other!r} in {targets[other]}")
    targets[path] = where


def _steps(where: str, path: str) -> list[str]:
    steps = path.split(".")
    if not all(steps) or len(path) > 512:
        raise MapError(
            where, f"{path[:60]!r} is no field; expected names with dots between, such as order.total"
        )
    return steps


def _places(name: str, template: str) -> list[str]:
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise MapError(f"templates.{name}", f"{error}; a brace is written twice") from None
    for _, place, form, conversion in parsed:
        if place is not None and (not place or form or conversion):
            raise MapError(
                f"templates.{name}", "expected the path of a field in braces, such as {order.total}"
            )
    return [place for _, place, _, _ in parsed if place]


_NOTHING: Final = object()


def _get(data: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(data, dict) or step not in data:
            return _NOTHING
        data = data[step]
    return data


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    *steps, last = path.split(".")
    for step in steps:
        inner = data.get(step)
        if not isinstance(inner, dict):
            inner = data[step] = {}
        data = inner
    data[last] = value


def _drop(data: dict[str, Any], path: str) -> None:
    *steps, last = path.split(".")
    for step in steps:
        inner = data.get(step)
        if not isinstance(inner, dict):
            return
        data = inner
    data.pop(last, None)


def _filled(template: str, data: Any) -> str:
    parts = []
    for text, place, _, _ in string.Formatter().parse(template):
        parts.append(text)
        if place:
            value = _get(data, place)
            if isinstance(value, str):
                parts.append(value)
            elif value is not _NOTHING and value is not None:
                parts.append(json.dumps(value, ensure_ascii=False))
    return "".join(parts)
