"""Routing: which services an event makes run, and why.

A trigger's event type is exact, `prefix.*` (`a.b.*` takes a.b.c and a.b.c.d, not a.b) or `*`. Finding the
triggers of an event costs a few look-ups, whatever the number of services: one for the type, one per dot in
it, one for `*`; and inside each, an index over the filters (ferris/index.py). Only what it finds is tested.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ferris.conditions import ABSENT, Condition, Look
from ferris.events import Event
from ferris.filters import Filter, attribute, compile_filter
from ferris.index import Index, Shared
from ferris.index_group import Group
from ferris.predicates import FilterError
from ferris.rules import CesqlRule, cast

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
    cesql: str | None = None


Key = str | None
"""What a trigger asks beside its type, as text: equal keys are equal rules. None: it asks nothing."""
Refused = Callable[[Trigger, FilterError | ValueError], None]
_Entry = tuple[int, Trigger, Key, tuple[Condition, ...]]


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

    def __init__(self, shared: Shared) -> None:
        self._open: dict[int, Trigger] = {}
        self._groups: dict[Key, Group] = {}
        self._index = Index(shared)

    def add(self, entries: Iterable[_Entry]) -> None:
        fresh = []
        for number, trigger, key, conditions in entries:
            if key is None:
                self._open[number] = trigger
                continue
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(conditions)
                fresh.append(group)
            group.add(number, trigger)
        self._index.add(fresh)

    def remove(self, numbers: Iterable[tuple[int, Key]]) -> None:
        """Take out triggers, given by number and the key of their rule."""
        empty = []
        for number, key in numbers:
            if key is None:
                del self._open[number]
                continue
            group = self._groups[key]
            group.remove(number)
            if group.member is None:
                empty.append(self._groups.pop(key))
        self._index.remove(empty)

    def __bool__(self) -> bool:
        return bool(self._open or self._groups)

    def match(self, look: Look, found: dict[int, Trigger]) -> None:
        if self._open:
            found.update(self._open)
        for group in self._index.candidates(look):
            member = group.member
            if member is None or group.number in found:
                continue
            if not group.rest or _meets(group, look):
                found[group.number] = member
                if group.others is not None:
                    found.update(group.others)


def _meets(group: Group, look: Look) -> bool:
    """Whether the event meets the rest of what these triggers ask."""
    for condition in group.rest:
        holds = condition.holds(look)
        if holds:
            continue
        if holds is None:
            if group.rule is None:  # kept from now on: such events mostly come again
                group.rule = rule_of(group.member)
            return bool(group.rule.passes(look))
        return False
    return True


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
    """All triggers of the platform at one moment.

    `replace` brings it to the next one, at the cost of what changed. It is for one thread: nobody may match
    meanwhile. A trigger that is none (FilterError, or ValueError for an event type that is no pattern) is raised,
    or, with `refused`, told there and left out.
    """

    def __init__(self, triggers: Iterable[Trigger], refused: Refused | None = None) -> None:
        self._exact: dict[str, _Bucket] = {}
        self._prefix: dict[str, _Bucket] = {}
        self._shared = Shared()
        self._any = _Bucket(self._shared)
        self._size = self._next = 0
        self._held: dict[str, tuple[tuple[int, Trigger], ...]] = {}
        with no_collection():
            self._add(triggers, refused)

    def replace(
        self, services: Iterable[str], triggers: Iterable[Trigger], refused: Refused | None = None
    ) -> None:
        """Forget the triggers of these services (by id), and take in these. All or nothing."""
        with no_collection():
            self._add(triggers, refused, before=lambda: self._remove(services))

    def _add(
        self, triggers: Iterable[Trigger], refused: Refused | None, before: Callable[[], None] | None = None
    ) -> None:
        entries: dict[str, list[_Entry]] = {}
        asked: dict[Key, tuple[Condition, ...]] = {None: ()}
        for trigger in triggers:
            try:
                check_pattern(trigger.event_type)
                key = _key(trigger)
                if key not in asked:
                    asked[key] = conditions_of(trigger)
            except (FilterError, ValueError) as error:
                if refused is None:
                    raise
                refused(trigger, error)
                continue
            entries.setdefault(trigger.event_type, []).append((self._next, trigger, key, asked[key]))
            self._next += 1
        if before is not None:
            before()
        for event_type, members in entries.items():
            for number, trigger, _, _ in members:
                held = self._held.get(trigger.service_id, ())
                self._held[trigger.service_id] = (*held, (number, trigger))
            self._size += len(members)
            self._bucket(event_type).add(members)

    def _remove(self, services: Iterable[str]) -> None:
        gone: dict[str, list[tuple[int, Key]]] = {}
        for service in services:
            for number, trigger in self._held.pop(service, ()):
                gone.setdefault(trigger.event_type, []).append((number, _key(trigger)))
                self._size -= 1
        for event_type, numbers in gone.items():
            bucket = self._bucket(event_type)
            bucket.remove(numbers)
            if not bucket and event_type != ANY:
                prefix = event_type.endswith(".*")
                (self._prefix if prefix else self._exact).pop(event_type.removesuffix(".*"))

    def __len__(self) -> int:
        return self._size

    def match(self, event: Event, *, addressed: bool = True) -> list[Trigger]:
        """The triggers that match, in the order they were given; each service at most once.

        An event that is addressed to one service (`ferrisservice`) matches triggers of that service only, unless
        `addressed` says that this makes no difference.
        """
        look = _Held(event).__getitem__
        found: dict[int, Trigger] = {}
        for bucket in self._buckets(event.type):
            bucket.match(look, found)
        addressee = event.service if addressed else None
        if addressee is not None:
            found = {place: trigger for place, trigger in found.items() if _is_for(trigger, addressee)}
        if len(found) < 2:
            return list(found.values())
        first: dict[str, Trigger] = {}
        for position in sorted(found):
            first.setdefault(found[position].service_id, found[position])
        return list(first.values())

    def _bucket(self, pattern: str) -> _Bucket:
        if pattern == ANY:
            return self._any
        if pattern.endswith(".*"):
            return self._prefix.setdefault(pattern[:-2], _Bucket(self._shared))
        return self._exact.setdefault(pattern, _Bucket(self._shared))

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


def _key(trigger: Trigger) -> Key:
    if trigger.filter is not None:
        return f"filter {trigger.filter!r}"
    return None if trigger.cesql is None else f"cesql {trigger.cesql}"


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Without looks for cyclic garbage: among many new objects that all live on, they cost more than the work."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def rule_of(trigger: Trigger) -> Filter | CesqlRule | None:
    """The trigger's filter or expression, compiled; None when it has neither. FilterError when it is none."""
    if trigger.filter is not None:
        return compile_filter(trigger.filter)
    return None if trigger.cesql is None else CesqlRule(trigger.cesql)


def conditions_of(trigger: Trigger) -> tuple[Condition, ...]:
    """What the trigger asks beside its type, in parts. FilterError when that is no filter."""
    rule = rule_of(trigger)
    return () if rule is None else tuple(rule.conditions())


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
