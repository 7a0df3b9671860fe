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
from weakref import WeakValueDictionary

from ferris.events import Event
from ferris.filters import ABSENT, Filter, Look, attribute, compile_filter
from ferris.index import Group, Index, Rule
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


Key = tuple[str, bool] | None
"""What a trigger asks beside its type, as text: equal keys are equal rules. None: it asks nothing."""
Refused = Callable[[Trigger, FilterError | ValueError], None]
_Entry = tuple[int, Trigger, Key, "Rule | None"]
_Place = tuple[str, Key, int]


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
        self._open: dict[int, Trigger] = {}
        self._groups: dict[Key, Group] = {}
        self._index = Index()

    def add(self, entries: Iterable[_Entry]) -> None:
        fresh = []
        for number, trigger, key, rule in entries:
            if rule is None:
                self._open[number] = trigger
                continue
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(rule)
                fresh.append(group)
            group.members.append((number, trigger))
        self._index.add(fresh)

    def remove(self, numbers: dict[Key, set[int]]) -> None:
        """Take out triggers, given by number under the key of their rule."""
        empty = []
        for key, gone in numbers.items():
            if key is None:
                for number in gone:
                    del self._open[number]
                continue
            group = self._groups[key]
            group.members = [member for member in group.members if member[0] not in gone]
            if not group.members:
                empty.append(self._groups.pop(key))
        self._index.remove(empty)

    def __bool__(self) -> bool:
        return bool(self._open or self._groups)

    def match(self, look: Look, found: dict[int, Trigger]) -> None:
        if self._open:
            found.update(self._open)
        for group in self._index.candidates(look):
            members = group.members
            if members and members[0][0] not in found and (group.certain or group.rule.passes(look)):
                found.update(members)


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
        self._any = _Bucket()
        self._size = self._next = 0
        self._rules: WeakValueDictionary[Key, Rule] = WeakValueDictionary()
        self._places: dict[str, list[_Place]] = {}
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
        for trigger in triggers:
            try:
                check_pattern(trigger.event_type)
                key = _key(trigger)
                rule = None if key is None else self._rule(key, trigger)
            except (FilterError, ValueError) as error:
                if refused is None:
                    raise
                refused(trigger, error)
                continue
            entries.setdefault(trigger.event_type, []).append((self._next, trigger, key, rule))
            self._next += 1
        if before is not None:
            before()
        for event_type, members in entries.items():
            for number, trigger, key, _ in members:
                self._places.setdefault(trigger.service_id, []).append((event_type, key, number))
            self._size += len(members)
            self._bucket(event_type).add(members)

    def _rule(self, key: Key, trigger: Trigger) -> Rule:
        """Compiled once for all that ask the same, whatever the event type."""
        rule = self._rules.get(key)
        if rule is None:
            made = rule_of(trigger)
            if made is None:
                raise AssertionError("a trigger with a filter has a rule")
            rule = self._rules[key] = made
        return rule

    def _remove(self, services: Iterable[str]) -> None:
        gone: dict[str, dict[Key, set[int]]] = {}
        for service in services:
            for event_type, key, number in self._places.pop(service, ()):
                gone.setdefault(event_type, {}).setdefault(key, set()).add(number)
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


def _key(trigger: Trigger) -> Key:
    if trigger.filter is not None:
        return repr(trigger.filter), False
    return None if trigger.cesql is None else (trigger.cesql, True)


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
