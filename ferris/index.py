"""The index of the filters of one event type: an event meets only the filters that it may pass.

A filter is kept under one of its clauses, the one that is likely to be met by the fewest events: under a value
(a dictionary), the beginning, end or a piece of a text (a dictionary for each length), a range of numbers or
addresses (an interval tree), or the mere presence of a field. Whoever is found so is then tested in full.
Filters without any such clause (only anything-but, or absence) are tested always; equal ones are one group,
and tested once. The event is walked along the paths that the filters name, whichever of the two is smaller.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

from ferris.filters import ABSENT, Clause, Look, Path
from ferris.predicates import Posting, address_of, key_of

SMALL: Final = 3
"""So few filters are tested faster than looked up."""
_PIECE: Final = 8


class Rule(Protocol):
    """What a trigger asks of an event, beside its type."""

    def passes(self, look: Look) -> bool: ...

    def clauses(self) -> Iterator[Clause]: ...


class Group:
    """A rule, and everything that waits for it."""

    __slots__ = ("members", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule, self.members = rule, list[Any]()


class Index:
    """Groups by what an event must hold to pass their rules. Immutable."""

    __slots__ = ("_always", "_roots")

    def __init__(self, groups: Iterable[Group]) -> None:
        groups = tuple(groups)
        self._always: list[Group] = []
        self._roots: dict[str, _Field] = {}
        if len(groups) <= SMALL:
            self._always.extend(groups)
            return
        offers = [(group, list(group.rule.clauses())) for group in groups]
        cost = _Costs(offers)
        for group, clauses in offers:
            if not clauses:
                self._always.append(group)
                continue
            for path, posting in min(clauses, key=cost):
                self._field(path).add(posting, group)
        for root in self._roots.values():
            root.freeze()

    def _field(self, path: Path) -> _Field:
        fields = self._roots
        for name in path[:-1]:
            fields = fields.setdefault(name, _Field()).children
        return fields.setdefault(path[-1], _Field())

    def candidates(self, look: Look) -> Iterable[Group]:
        """Every group whose rule the event may pass; one may come twice."""
        if not self._roots:
            return self._always
        found = list(self._always)
        for name, field in self._roots.items():
            value = look(name)
            if value is not ABSENT:
                field.collect(value, found)
        return found


class _Costs:
    """How many groups a clause is likely to bring, from how often others use it too."""

    def __init__(self, offers: list[tuple[Group, list[Clause]]]) -> None:
        self._same: Counter[tuple[Path, Posting]] = Counter()
        self._kind: Counter[tuple[Path, str]] = Counter()
        self._all = len(offers)
        for _, clauses in offers:
            for clause in clauses:
                for path, posting in clause:
                    self._same[path, posting] += 1
                    self._kind[path, posting[0]] += 1

    def __call__(self, clause: Clause) -> float:
        return sum(self._of(path, posting) for path, posting in clause)

    def _of(self, path: Path, posting: Posting) -> float:
        kind, operand = posting
        if kind == "present":
            return self._all
        if kind == "between":
            open_end = operand[0] == -math.inf or operand[1] == math.inf
            return 1 + self._kind[path, kind] * (0.5 if open_end else 0.1)
        if kind == "address":
            return 1 + self._kind[path, kind] * 0.05
        same = self._same[path, posting]
        if kind in ("equal", "fold"):
            return same
        # A short beginning is met by many texts, and what stands under longer ones comes along with it.
        return float(same + 1 + self._all / 20 ** min(len(operand), 6))


Item = TypeVar("Item")


class _Field:
    """What is kept under one path, and the paths below it."""

    __slots__ = ("_address", "_between", "_present", "_texts", "_values", "children")

    def __init__(self) -> None:
        self.children: dict[str, _Field] = {}
        self._values: dict[Any, list[Group]] = {}
        self._texts: dict[str, dict[int, dict[str, list[Group]]]] = {}
        self._between: Any = []
        self._address: Any = []
        self._present: list[Group] = []

    def add(self, posting: Posting, group: Group) -> None:
        kind, operand = posting
        if kind == "equal":
            self._values.setdefault(operand, []).append(group)
        elif kind == "between":
            self._between.append((*operand, group))
        elif kind == "address":
            self._address.append((*operand, group))
        elif kind == "present" or operand == "":
            self._present.append(group)
        else:
            piece = operand[:_PIECE] if kind == "contains" else operand
            texts = self._texts.setdefault(kind, {}).setdefault(len(piece), {})
            texts.setdefault(piece, []).append(group)

    def freeze(self) -> None:
        self._between = _Intervals(self._between) if self._between else None
        self._address = _Intervals(self._address) if self._address else None
        for child in self.children.values():
            child.freeze()

    def collect(self, value: Any, found: list[Group]) -> None:
        kind = type(value)
        if kind is dict:
            children = self.children
            if len(children) <= len(value):
                for name, child in children.items():
                    if name in value:
                        child.collect(value[name], found)
            else:
                for name, inner in value.items():
                    field = children.get(name)
                    if field is not None:
                        field.collect(inner, found)
            return
        if kind is list:
            for item in value:
                self.collect(item, found)
            return
        if self._values and (groups := self._values.get(key_of(value))) is not None:
            found += groups
        if self._present:
            found += self._present
        if kind is str:
            if self._texts:
                for name, tables in self._texts.items():
                    _LOOKUPS[name](tables, value, found)
            if self._address is not None and (address := address_of(value[:46])) is not None:
                self._address.collect(address, found)
        elif self._between is not None and (kind is int or kind is float):
            self._between.collect(value, found)


Tables = dict[int, dict[str, list[Group]]]


def _beginnings(tables: Tables, text: str, found: list[Group]) -> None:
    for length, table in tables.items():
        groups = table.get(text[:length])
        if groups is not None:
            found += groups


def _ends(tables: Tables, text: str, found: list[Group]) -> None:
    for length, table in tables.items():
        groups = table.get(text[-length:])
        if groups is not None:
            found += groups


def _pieces(tables: Tables, text: str, found: list[Group]) -> None:
    for length, table in tables.items():
        for piece in {text[at : at + length] for at in range(len(text) - length + 1)}:
            groups = table.get(piece)
            if groups is not None:
                found += groups


def _whole(tables: Tables, text: str, found: list[Group]) -> None:
    groups = tables.get(len(text), {}).get(text)
    if groups is not None:
        found += groups


def _lower(lookup: Callable[[Tables, str, list[Group]], None]) -> Callable[[Tables, str, list[Group]], None]:
    return lambda tables, text, found: lookup(tables, text.lower(), found)


_LOOKUPS: Final[dict[str, Callable[[Tables, str, list[Group]], None]]] = {
    "prefix": _beginnings,
    "suffix": _ends,
    "contains": _pieces,
    "fold": _lower(_whole),
    "fold-prefix": _lower(_beginnings),
    "fold-suffix": _lower(_ends),
}


class _Intervals(Generic[Item]):
    """A centred interval tree: all intervals that hold a number, in the time of finding them. Ends belong to them."""

    __slots__ = ("_by_high", "_by_low", "_center", "_highs", "_left", "_lows", "_right")

    def __init__(self, intervals: list[tuple[float, float, Item]]) -> None:
        ends = sorted(end for low, high, _ in intervals for end in (low, high) if abs(end) != math.inf)
        center = self._center = ends[len(ends) // 2]
        left = [one for one in intervals if one[1] < center]
        right = [one for one in intervals if one[0] > center]
        here = [one for one in intervals if one[0] <= center <= one[1]]
        here.sort(key=lambda one: one[0])
        self._lows, self._by_low = [one[0] for one in here], [one[2] for one in here]
        here.sort(key=lambda one: one[1])
        self._highs, self._by_high = [one[1] for one in here], [one[2] for one in here]
        self._left: _Intervals[Item] | None = _Intervals(left) if left else None
        self._right: _Intervals[Item] | None = _Intervals(right) if right else None

    def collect(self, number: float, found: list[Item]) -> None:
        node: _Intervals[Item] | None = self
        while node is not None:
            if number < node._center:
                found += node._by_low[: bisect_right(node._lows, number)]
                node = node._left
            else:
                found += node._by_high[bisect_left(node._highs, number) :]
                node = node._right
