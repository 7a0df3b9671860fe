"""The index of the filters of one event type: an event meets only the filters that it may pass.

A filter is kept under one of its conditions, the one that is likely to be met by the fewest events: under a value
(a dictionary), the beginning, end or a piece of a text (a dictionary for each length), a range of numbers or
addresses (an interval tree), or the mere presence of a field. Of whoever is found so, the other conditions are
tested, and that one only where the place does not say it all. Equal conditions of many filters are one object.
Filters without any such condition (only anything-but, or absence) are tested always; equal ones are one group,
and tested once. The event is walked along the paths that the filters name, whichever of the two is smaller.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Final
from weakref import WeakValueDictionary

from ferris.conditions import ABSENT, Clause, Condition, Look, Path
from ferris.index_fields import Field
from ferris.index_group import Group
from ferris.predicates import Posting

SMALL: Final = 3
"""So few filters are tested faster than looked up."""

Shared = WeakValueDictionary[str, Condition]
"""Conditions that several groups ask, by their keys."""


class Index:
    """Groups by what an event must hold to pass their rules. Groups come and go; the cost is theirs alone."""

    __slots__ = ("_always", "_placed", "_roots", "_shared", "_size")

    def __init__(self, shared: Shared) -> None:
        self._always: list[Group] = []
        self._roots: dict[str, Field] = {}
        self._placed, self._size, self._shared = False, 0, shared

    def add(self, groups: Iterable[Group]) -> None:
        """Take in groups, whose `rest` is all that their rules ask."""
        groups = list(groups)
        self._size += len(groups)
        if not self._placed:
            groups += self._always
            self._always = []
            if self._size <= SMALL:
                self._always = groups
                return
            self._placed = True
        cost = _Costs(groups, self._size, self._roots)
        touched: dict[int, Field] = {}
        for group in groups:
            offers = [(one, clause) for one in group.rest if (clause := one.clause) is not None]
            if not offers:
                self._always.append(group)
                self._keep_rest(group, group.rest)
                continue
            chosen, group.places = min(offers, key=lambda offer: cost(offer[1])) if offers[1:] else offers[0]
            self._keep_rest(group, (one for one in group.rest if one is not chosen or not one.exact))
            for path, posting in group.places:
                field = self._field(path)
                field.add(posting, group)
                touched[id(field)] = field
        for field in touched.values():
            field.settle()

    def _keep_rest(self, group: Group, conditions: Iterable[Condition]) -> None:
        setdefault = self._shared.setdefault
        group.rest = tuple(one if (key := one.key) is None else setdefault(key, one) for one in conditions)

    def remove(self, groups: Iterable[Group]) -> None:
        """Forget these groups, which must have no members any more."""
        gone = set(groups)
        self._size -= len(gone)
        for group in gone:
            for path, posting in group.places:
                self._field(path).remove(posting, group)
        if any(not group.places for group in gone):
            self._always = [group for group in self._always if group not in gone]

    def _field(self, path: Path) -> Field:
        fields = self._roots
        for name in path[:-1]:
            fields = fields.setdefault(name, Field()).children
        return fields.setdefault(path[-1], Field())

    def candidates(self, look: Look) -> Iterable[Group]:
        """Every group whose rule the event may pass; one may come twice, and some may have no members left."""
        if not self._roots:
            return self._always
        found = list(self._always)
        for name, field in self._roots.items():
            value = look(name)
            if value is not ABSENT:
                field.collect(value, found)
        return found


class _Costs:
    """How many groups a clause is likely to bring, from how often others offer it, or are under it already."""

    def __init__(self, groups: list[Group], size: int, roots: dict[str, Field]) -> None:
        self._same: Counter[tuple[Path, Posting]] = Counter()
        self._kind: Counter[tuple[Path, str]] = Counter()
        self._all, self._roots = size, roots
        self._held = size > len(groups)
        for group in groups:
            for condition in group.rest:
                for path, posting in condition.clause or ():
                    self._same[path, posting] += 1
                    self._kind[path, posting[0]] += 1

    def __call__(self, clause: Clause) -> float:
        return sum(self._of(path, posting) for path, posting in clause)

    def _of(self, path: Path, posting: Posting) -> float:
        kind, operand = posting
        if kind == "present":
            return self._all
        field = self._at(path) if self._held else None
        if kind in ("between", "address"):
            others = self._kind[path, kind] + (0 if field is None else field.held(posting))
            if kind == "address":
                return 1 + others * 0.05
            open_end = operand[0] == -math.inf or operand[1] == math.inf
            return 1 + others * (0.5 if open_end else 0.1)
        same = self._same[path, posting] + (0 if field is None else field.held(posting))
        if kind in ("equal", "fold"):
            return same
        # A short beginning is met by many texts, and what stands under longer ones comes along with it.
        return float(same + 1 + self._all / 20 ** min(len(operand), 6))

    def _at(self, path: Path) -> Field | None:
        fields, field = self._roots, None
        for name in path:
            field = fields.get(name)
            if field is None:
                return None
            fields = field.children
        return field
