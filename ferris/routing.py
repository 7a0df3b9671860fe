"""Routing: which services an event makes run, and why.

A trigger's event type is exact, `prefix.*` (`a.b.*` takes a.b.c and a.b.c.d, not a.b) or `*`. Finding the
triggers of an event costs a few look-ups, whatever the number of services: one for the type, one per dot in
it, one for `*`; and inside each, an index over the filters (ferris/index.py). Only what it finds is tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ferris.events import Event
from ferris.filters import ABSENT, Filter, Look, attribute, compile_filter
from ferris.index import Group, Index
from ferris.predicates import FilterError
from ferris.rules import CesqlRule, cast

__all__ = ["ABSENT", "Explanation", "FilterError", "RoutingTable", "Trigger", "compile_filter", "explain"]

ANY: Final = "*"

Member = tuple[int, "Trigger"]
"""A trigger, and its position among all."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One entry of a service's trigger_events. `payload` is the caller's own; routing never looks at it."""

    service_id: str
    service: str
    event_type: str
    filter: Mapping[str, Any] | None = None
    payload: Any = field(default=None, compare=False)
    cesql: str | None = None


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


class _Bucket:
    """The triggers of one event type, those of equal rules together."""

    __slots__ = ("_groups", "_index", "_open")

    def __init__(self) -> None:
        self._open: list[Member] = []
        self._groups: dict[Any, Group] = {}
        self._index: Index | None = None

    def add(self, position: int, trigger: Trigger) -> None:
        if trigger.filter is None and trigger.cesql is None:
            self._open.append((position, trigger))
            return
        key = trigger.cesql if trigger.filter is None else repr(trigger.filter), trigger.filter is None
        group = self._groups.get(key)
        if group is None:
            rule = rule_of(trigger)
            if rule is None:
                raise AssertionError("a trigger with a filter has a rule")
            group = self._groups[key] = Group(rule)
        group.members.append((position, trigger))

    def freeze(self) -> None:
        self._index, self._groups = Index(self._groups.values()), {}

    def match(self, look: Look, found: dict[int, Trigger]) -> None:
        found.update(self._open)
        if self._index is None:
            raise AssertionError("a table is complete before it is used")
        for group in self._index.candidates(look):
            if group.members[0][0] not in found and group.rule.passes(look):
                found.update(group.members)


class _Held(dict[str, Any]):
    """What an event holds by outermost name, each looked up once."""

    __slots__ = ("_event",)

    def __init__(self, event: Event) -> None:
        self._event = event

    def __missing__(self, name: str) -> Any:
        value = cast(self.__getitem__, name) if ":" in name else attribute(self._event, name)
        self[name] = value
        return value


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
            self._bucket(trigger.event_type).add(self._size, trigger)
            self._size += 1
        for bucket in (self._any, *self._exact.values(), *self._prefix.values()):
            bucket.freeze()

    def __len__(self) -> int:
        return self._size

    def match(self, event: Event) -> list[Trigger]:
        """The triggers that match, in the order they were given; each service at most once.

        An event that is addressed to one service (`ferrisservice`) matches triggers of that service only.
        """
        look = _Held(event).__getitem__
        found: dict[int, Trigger] = {}
        for bucket in self._buckets(event.type):
            bucket.match(look, found)
        addressee = event.service
        if addressee is not None:
            found = {place: trigger for place, trigger in found.items() if _is_for(trigger, addressee)}
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


def rule_of(trigger: Trigger) -> Filter | CesqlRule | None:
    """The trigger's filter or expression, compiled; None when it has neither. FilterError when it is none."""
    if trigger.filter is not None:
        return compile_filter(trigger.filter)
    return None if trigger.cesql is None else CesqlRule(trigger.cesql)


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
    rule = rule_of(trigger)
    failure = None if rule is None else rule.reason(_Held(event).__getitem__)
    return Explanation(True) if failure is None else Explanation(False, *failure)


def _is_for(trigger: Trigger, addressee: str) -> bool:
    return addressee in (trigger.service, trigger.service_id)
