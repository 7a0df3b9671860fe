"""Routing: which services an event makes run, and why.

A trigger's event type is exact, `prefix.*` (`a.b.*` takes a.b.c and a.b.c.d, not a.b) or `*`. Finding the
triggers of an event costs a few dictionary look-ups, whatever the number of services: one for the type,
one per dot in it, one for `*`; and inside each, triggers whose filter demands that a field equals one of
some values are found by the event's value of that field. Only what is left is tested in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ferris.events import Event
from ferris.filters import ABSENT, Filter, FilterError, compile_filter, key_of, values_at

__all__ = ["ABSENT", "Explanation", "FilterError", "RoutingTable", "Trigger", "compile_filter", "explain"]

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Trigger:
    """One entry of a service's trigger_events. `payload` is the caller's own; routing never looks at it."""

    service_id: str
    service: str
    event_type: str
    filter: Mapping[str, Any] | None = None
    payload: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a trigger matched or did not: the first clause that failed, what it wants, what the event holds.

    `clause` is "type", "ferrisservice" or the filter's path (data.mag), empty when all matched. `seen` is
    ABSENT where the event holds nothing.
    """

    matched: bool
    clause: str = ""
    expected: Any = None
    seen: Any = None

    def __str__(self) -> str:
        if self.matched:
            return "matches"
        return f"{self.clause} is {self.seen!r}; expected {self.expected!r}"


@dataclass(frozen=True, slots=True)
class _Entry:
    position: int
    trigger: Trigger
    filter: Filter | None


class _Bucket:
    """The triggers of one event type."""

    __slots__ = ("_indexes", "_others")

    def __init__(self) -> None:
        self._others: list[_Entry] = []
        self._indexes: dict[tuple[str, ...], dict[Any, list[_Entry]]] = {}

    def add(self, entry: _Entry) -> None:
        equality = entry.filter.equality() if entry.filter is not None else None
        if equality is None:
            self._others.append(entry)
            return
        path, keys = equality
        index = self._indexes.setdefault(path, {})
        for key in keys:
            index.setdefault(key, []).append(entry)

    def candidates(self, event: Event) -> Iterator[_Entry]:
        """Every entry that may match; one may come twice when the event holds lists."""
        yield from self._others
        for path, index in self._indexes.items():
            for value in values_at(event, path):
                yield from index.get(key_of(value), ())


class RoutingTable:
    """All triggers of the platform at one moment. Immutable: made anew when the catalog changes.

    Raises FilterError, or ValueError for an event type that is no pattern.
    """

    def __init__(self, triggers: Iterable[Trigger]) -> None:
        self._exact: dict[str, _Bucket] = {}
        self._prefix: dict[str, _Bucket] = {}
        self._any = _Bucket()
        self._size = 0
        for trigger in triggers:
            compiled = None if trigger.filter is None else compile_filter(trigger.filter)
            self._bucket(trigger.event_type).add(_Entry(self._size, trigger, compiled))
            self._size += 1

    def __len__(self) -> int:
        return self._size

    def match(self, event: Event) -> list[Trigger]:
        """The triggers that match, in the order they were given; each service at most once.

        An event that is addressed to one service (`ferrisservice`) matches triggers of that service only.
        """
        addressee = event.service
        found: dict[int, Trigger] = {}
        for bucket in self._buckets(event.type):
            for entry in bucket.candidates(event):
                if (
                    entry.position not in found
                    and (addressee is None or _is_for(entry.trigger, addressee))
                    and (entry.filter is None or entry.filter(event))
                ):
                    found[entry.position] = entry.trigger
        if len(found) < 2:
            return list(found.values())
        first: dict[str, Trigger] = {}
        for position in sorted(found):
            first.setdefault(found[position].service_id, found[position])
        return list(first.values())

    def _bucket(self, pattern: str) -> _Bucket:
        check_pattern(pattern)
        if pattern == ANY:
            return self._any
        if pattern.endswith(".*"):
            return self._prefix.setdefault(pattern[:-2], _Bucket())
        return self._exact.setdefault(pattern, _Bucket())

    def _buckets(self, event_type: str) -> Iterator[_Bucket]:
        yield self._any
        exact = self._exact.get(event_type)
        if exact is not None:
            yield exact
        if self._prefix:
            dot = event_type.find(".")
            while dot >= 0:
                bucket = self._prefix.get(event_type[:dot])
                if bucket is not None:
                    yield bucket
                dot = event_type.find(".", dot + 1)


def check_pattern(pattern: str) -> None:
    """ValueError when `pattern` is no event type, `prefix.*` or `*`."""
    stem = "" if pattern == ANY else pattern.removesuffix(".*")
    if pattern != ANY and (not stem or ANY in stem or not stem.isprintable() or stem.strip() != stem):
        raise ValueError(f"{pattern!r} is no event type; expected an exact type, 'prefix.*' or '*'")


def type_matches(pattern: str, event_type: str) -> bool:
    """True when an event of that type is one the pattern of a trigger names."""
    if pattern in (ANY, event_type):
        return True
    return pattern.endswith(".*") and event_type.startswith(pattern[:-1])


def explain(event: Event, trigger: Trigger) -> Explanation:
    """Why `trigger` matches `event` or not. FilterError when its filter is none."""
    if not type_matches(trigger.event_type, event.type):
        return Explanation(False, "type", trigger.event_type, event.type)
    if event.service is not None and not _is_for(trigger, event.service):
        return Explanation(False, "ferrisservice", trigger.service, event.service)
    failure = None if trigger.filter is None else compile_filter(trigger.filter).failure(event)
    return Explanation(True) if failure is None else Explanation(False, *failure)


def _is_for(trigger: Trigger, addressee: str) -> bool:
    return addressee in (trigger.service, trigger.service_id)
