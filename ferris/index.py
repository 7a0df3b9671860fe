"""The index of the filters of one event type: an event meets only the filters that it may pass.

A filter is kept under one of its clauses, the one that is likely to be met by the fewest events: under a value
(a dictionary), the beginning, end or a piece of a text (a dictionary for each length), a range of numbers or
addresses (an interval tree), or the mere presence of a field. Whoever is found so is then tested in full, unless
what it was found under is all that it asks.
Filters without any such clause (only anything-but, or absence) are tested always; equal ones are one group,
and tested once. The event is walked along the paths that the filters name, whichever of the two is smaller.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

from ferris.filters import ABSENT, Clause, Look, Path
from ferris.predicates import Posting, address_of, key_of

SMALL: Final = 3
"""So few filters are tested faster than looked up."""
_PIECE: Final = 8
_LOOSE: Final = 32


class Rule(Protocol):
    """What a trigger asks of an event, beside its type."""

    @property
    def exact(self) -> bool:
        """True when an event that is found under the one clause passes for certain."""

    def passes(self, look: Look) -> bool: ...

    def clauses(self) -> Iterator[Clause]: ...


class Group:
    """A rule, and everything that waits for it: pairs of a number and whatever the caller keeps."""

    __slots__ = ("certain", "members", "places", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule, self.members = rule, list[Any]()
        self.places: Clause = []
        self.certain = False


class Index:
    """Groups by what an event must hold to pass their rules. Groups come and go; the cost is theirs alone."""

    __slots__ = ("_always", "_placed", "_roots", "_size")

    def __init__(self, groups: Iterable[Group] = ()) -> None:
        self._always: list[Group] = []
        self._roots: dict[str, _Field] = {}
        self._placed, self._size = False, 0
        self.add(groups)

    def add(self, groups: Iterable[Group]) -> None:
        groups = list(groups)
        self._size += len(groups)
        if not self._placed:
            groups += self._always
            self._always = []
            if self._size <= SMALL:
                self._always = groups
                return
            self._placed = True
        offers = [(group, list(group.rule.clauses())) for group in groups]
        cost = _Costs(offers, self._size, self._roots)
        touched: dict[int, _Field] = {}
        for group, clauses in offers:
            if not clauses:
                self._always.append(group)
                continue
            group.places = min(clauses, key=cost) if len(clauses) > 1 else clauses[0]
            group.certain = len(clauses) == 1 and group.rule.exact
            for path, posting in group.places:
                field = self._field(path)
                field.add(posting, group)
                touched[id(field)] = field
        for field in touched.values():
            field.settle()

    def remove(self, groups: Iterable[Group]) -> None:
        """Forget these groups, which must have no members any more."""
        gone = set(groups)
        self._size -= len(gone)
        for group in gone:
            for path, posting in group.places:
                self._field(path).remove(posting, group)
        if any(not group.places for group in gone):
            self._always = [group for group in self._always if group not in gone]

    def _field(self, path: Path) -> _Field:
        fields = self._roots
        for name in path[:-1]:
            fields = fields.setdefault(name, _Field()).children
        return fields.setdefault(path[-1], _Field())

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

    def __init__(self, offers: list[tuple[Group, list[Clause]]], size: int, roots: dict[str, _Field]) -> None:
        self._same: Counter[tuple[Path, Posting]] = Counter()
        self._kind: Counter[tuple[Path, str]] = Counter()
        self._all, self._roots = size, roots
        self._held = size > len(offers)
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

    def _at(self, path: Path) -> _Field | None:
        fields, field = self._roots, None
        for name in path:
            field = fields.get(name)
            if field is None:
                return None
            fields = field.children
        return field


Held = Group | list[Group]
"""What a dictionary keeps for a key: mostly one, and then no list around it."""


def _keep(table: dict[Any, Held], key: Any, group: Group) -> None:
    held = table.setdefault(key, group)
    if held is group:
        return
    if type(held) is list:
        held.append(group)
    else:
        table[key] = [held, group]  # type: ignore[list-item] # no list, so a group


def _drop(table: dict[Any, Held], key: Any, group: Group) -> None:
    held = table.get(key)
    if held is group:
        del table[key]
    elif type(held) is list and group in held:
        held.remove(group)
        if not held:
            del table[key]


def _count(held: Held | None) -> int:
    return 0 if held is None else len(held) if type(held) is list else 1


class _Field:
    """What is kept under one path, and the paths below it."""

    __slots__ = ("_address", "_between", "_present", "_texts", "_values", "children")

    def __init__(self) -> None:
        self.children: dict[str, _Field] = {}
        self._values: dict[Any, Held] = {}
        self._texts: dict[str, _Texts] = {}
        self._between: _Ranges | None = None
        self._address: _Ranges | None = None
        self._present: list[Group] = []

    def add(self, posting: Posting, group: Group) -> None:
        kind, operand = posting
        if kind == "equal":
            _keep(self._values, operand, group)
        elif kind == "between":
            self._between = self._between or _Ranges()
            self._between.add((*operand, group))
        elif kind == "address":
            self._address = self._address or _Ranges()
            self._address.add((*operand, group))
        elif kind == "present" or operand == "":
            self._present.append(group)
        else:
            texts = self._texts.get(kind)
            if texts is None:
                texts = self._texts[kind] = _Texts()
            texts.keep(_piece(kind, operand), group)

    def remove(self, posting: Posting, group: Group) -> None:
        kind, operand = posting
        if kind == "equal":
            _drop(self._values, operand, group)
        elif kind in ("between", "address"):
            ranges = self._between if kind == "between" else self._address
            if ranges is not None:
                ranges.remove()
        elif kind == "present" or operand == "":
            self._present.remove(group)
        else:
            self._texts[kind].drop(_piece(kind, operand), group)

    def held(self, posting: Posting) -> int:
        """How many are under this posting; of ranges and addresses, under all of them."""
        kind, operand = posting
        if kind in ("between", "address"):
            ranges = self._between if kind == "between" else self._address
            return 0 if ranges is None else len(ranges)
        if kind == "equal":
            return _count(self._values.get(operand))
        if kind == "present" or operand == "":
            return len(self._present)
        texts = self._texts.get(kind)
        return 0 if texts is None else _count(texts.keys.get(_piece(kind, operand)))

    def settle(self) -> None:
        """After additions: ranges are put in order."""
        for ranges in (self._between, self._address):
            if ranges is not None:
                ranges.settle()

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
        if self._values and (held := self._values.get(value if kind is str else key_of(value))) is not None:
            _give(held, found)
        if self._present:
            found += self._present
        if kind is str:
            if self._texts:
                for name, texts in self._texts.items():
                    _LOOKUPS[name](texts, value, found)
            if self._address is not None and (address := address_of(value[:46])) is not None:
                self._address.collect(address, found)
        elif self._between is not None and (kind is int or kind is float):
            self._between.collect(value, found)


class _Texts:
    """Texts as keys, and the lengths that they have."""

    __slots__ = ("cuts", "keys", "lengths")

    def __init__(self) -> None:
        self.keys: dict[Any, Held] = {}
        self.lengths: Counter[int] = Counter()
        self.cuts: tuple[int, ...] = ()

    def keep(self, text: str, group: Group) -> None:
        _keep(self.keys, text, group)
        self._count(len(text), 1)

    def drop(self, text: str, group: Group) -> None:
        _drop(self.keys, text, group)
        self._count(len(text), -1)

    def _count(self, length: int, more: int) -> None:
        self.lengths[length] += more
        if self.lengths[length] <= 0:
            del self.lengths[length]
        if len(self.cuts) != len(self.lengths):
            self.cuts = tuple(sorted(self.lengths))


def _piece(kind: str, operand: str) -> str:
    return operand[:_PIECE] if kind == "contains" else operand


def _give(held: Held, found: list[Group]) -> None:
    if type(held) is list:
        found += held
    else:
        found.append(held)  # type: ignore[arg-type] # no list, so a group


def _beginnings(texts: _Texts, text: str, found: list[Group]) -> None:
    get = texts.keys.get
    for length in texts.cuts:
        if (held := get(text[:length])) is not None:
            _give(held, found)


def _ends(texts: _Texts, text: str, found: list[Group]) -> None:
    get = texts.keys.get
    for length in texts.cuts:
        if (held := get(text[-length:])) is not None:
            _give(held, found)


def _pieces(texts: _Texts, text: str, found: list[Group]) -> None:
    get = texts.keys.get
    for length in texts.cuts:
        for piece in {text[at : at + length] for at in range(len(text) - length + 1)}:
            if (held := get(piece)) is not None:
                _give(held, found)


def _whole(texts: _Texts, text: str, found: list[Group]) -> None:
    held = texts.keys.get(text)
    if held is not None:
        _give(held, found)


_Lookup = Callable[[_Texts, str, list[Group]], None]


def _lower(lookup: _Lookup) -> _Lookup:
    return lambda texts, text, found: lookup(texts, text.lower(), found)


_LOOKUPS: Final[dict[str, _Lookup]] = {
    "prefix": _beginnings,
    "suffix": _ends,
    "contains": _pieces,
    "fold": _lower(_whole),
    "fold-prefix": _lower(_beginnings),
    "fold-suffix": _lower(_ends),
}


class _Ranges:
    """Intervals that come and go: a tree of most, and a few loose ones. One whose group lost its members stays
    until the tree is made anew."""

    __slots__ = ("_gone", "_kept", "_loose", "_tree")

    def __init__(self) -> None:
        self._kept: list[Interval] = []
        self._loose: list[Interval] = []
        self._tree: _Segments | _Intervals | None = None
        self._gone = 0

    def __len__(self) -> int:
        return len(self._kept) + len(self._loose) - self._gone

    def add(self, interval: Interval) -> None:
        self._loose.append(interval)

    def remove(self) -> None:
        self._gone += 1
        if self._gone > _LOOSE and self._gone * 2 > len(self._kept):
            self._plant()

    def settle(self) -> None:
        if len(self._loose) > _LOOSE:
            self._plant()

    def _plant(self) -> None:
        alive = [one for one in (*self._kept, *self._loose) if one[2].members]
        self._kept, self._loose, self._gone = alive, [], 0
        self._tree = (_segments(alive) or _Intervals(alive)) if alive else None

    def collect(self, number: float, found: list[Group]) -> None:
        if self._tree is not None:
            self._tree.collect(number, found)
        for low, high, group in self._loose:
            if low <= number <= high:
                found.append(group)


Interval = tuple[float, float, Group]


class _Segments:
    """Intervals that hardly overlap: what holds each of their ends, and what holds the numbers between two ends."""

    __slots__ = ("_at", "_behind", "_ends")

    def __init__(self, ends: list[float], at: list[list[Group]], behind: list[list[Group]]) -> None:
        self._ends, self._at, self._behind = ends, at, behind

    def collect(self, number: float, found: list[Group]) -> None:
        ends = self._ends
        place = bisect_right(ends, number) - 1
        if place >= 0:
            found += self._at[place] if ends[place] == number else self._behind[place]


def _segments(intervals: list[Interval]) -> _Segments | None:
    """None when too many of them overlap: then they would stand in too many places."""
    starts: dict[float, list[Interval]] = {}
    stops: dict[float, set[int]] = {}
    for one in intervals:
        starts.setdefault(one[0], []).append(one)
        stops.setdefault(one[1], set()).add(id(one))
    ends = sorted(starts.keys() | stops.keys())
    at: list[list[Group]] = []
    behind: list[list[Group]] = []
    active: list[Interval] = []
    room = 6 * len(intervals) + 64
    for end in ends:
        active = active + starts.get(end, [])
        at.append([one[2] for one in active])
        stopped = stops.get(end)
        if stopped is not None:
            active = [one for one in active if id(one) not in stopped]
        behind.append([one[2] for one in active])
        room -= len(at[-1]) + len(active)
        if room < 0:
            return None
    return _Segments(ends, at, behind)


class _Intervals:
    """A centred interval tree: all intervals that hold a number, in the time of finding them. Ends belong to them."""

    __slots__ = ("_by_high", "_by_low", "_center", "_highs", "_left", "_lows", "_right")

    def __init__(self, intervals: list[Interval]) -> None:
        ends = sorted(end for low, high, _ in intervals for end in (low, high) if abs(end) != math.inf)
        center = self._center = ends[len(ends) // 2]
        left = [one for one in intervals if one[1] < center]
        right = [one for one in intervals if one[0] > center]
        here = [one for one in intervals if one[0] <= center <= one[1]]
        here.sort(key=lambda one: one[0])
        self._lows, self._by_low = [one[0] for one in here], [one[2] for one in here]
        here.sort(key=lambda one: one[1])
        self._highs, self._by_high = [one[1] for one in here], [one[2] for one in here]
        self._left: _Intervals | None = _Intervals(left) if left else None
        self._right: _Intervals | None = _Intervals(right) if right else None

    def collect(self, number: float, found: list[Group]) -> None:
        node: _Intervals | None = self
        while node is not None:
            if number < node._center:
                found += node._by_low[: bisect_right(node._lows, number)]
                node = node._left
            else:
                found += node._by_high[bisect_left(node._highs, number) :]
                node = node._right
