"""Groups by ranges of numbers, of which those that hold a number are found without a look at the others."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import Any, Final

from ferris.index_group import Group, give

_LOOSE: Final = 32
"""So many additions are looked through one by one, before all is put in order again."""

Interval = tuple[float, float, Group]
"""Its ends, which belong to it, and who asks for it."""


class Ranges:
    """Intervals that come and go: a tree of most, and a few loose ones. One whose group lost its members stays
    until the tree is made anew."""

    __slots__ = ("_gone", "_kept", "_loose", "_tree")

    def __init__(self) -> None:
        self._kept: list[Interval] = []
        self._loose: list[Interval] = []
        self._tree: Segments | Tree | None = None
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
        alive = [one for one in (*self._kept, *self._loose) if one[2].member is not None]
        self._kept, self._loose, self._gone = alive, [], 0
        self._tree = (_segments(alive) or Tree(alive)) if alive else None

    def collect(self, number: float, found: list[Group]) -> None:
        if number != number:  # no number is in no range
            return
        if self._tree is not None:
            self._tree.collect(number, found)
        for low, high, group in self._loose:
            if low <= number <= high:
                found.append(group)


class Segments:
    """Intervals that hardly overlap: what holds each of their ends, and what holds the numbers between two ends."""

    __slots__ = ("_at", "_behind", "_ends")

    def __init__(self, ends: list[float], at: list[Any], behind: list[Any]) -> None:
        self._ends, self._at, self._behind = ends, at, behind

    def collect(self, number: float, found: list[Group]) -> None:
        ends = self._ends
        place = bisect_right(ends, number) - 1
        if place >= 0:
            held = self._at[place] if ends[place] == number else self._behind[place]
            if held is not None:
                give(held, found)


def _segments(intervals: list[Interval]) -> Segments | None:
    """None when too many of them overlap: then they would stand in too many places."""
    starts: dict[float, list[Interval]] = {}
    stops: dict[float, set[int]] = {}
    for one in intervals:
        starts.setdefault(one[0], []).append(one)
        stops.setdefault(one[1], set()).add(id(one))
    ends = sorted(starts.keys() | stops.keys())
    at: list[Any] = []
    behind: list[Any] = []
    active: list[Interval] = []
    room = 6 * len(intervals) + 64
    for end in ends:
        active = active + starts.get(end, [])
        at.append(_held(active))
        room -= len(active)
        stopped = stops.get(end)
        if stopped is not None:
            active = [one for one in active if id(one) not in stopped]
        behind.append(_held(active))
        room -= len(active)
        if room < 0:
            return None
    return Segments(ends, at, behind)


def _held(intervals: list[Interval]) -> Any:
    if len(intervals) < 2:
        return intervals[0][2] if intervals else None
    return [one[2] for one in intervals]


class Tree:
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
        self._left: Tree | None = Tree(left) if left else None
        self._right: Tree | None = Tree(right) if right else None

    def collect(self, number: float, found: list[Group]) -> None:
        node: Tree | None = self
        while node is not None:
            if number < node._center:
                found += node._by_low[: bisect_right(node._lows, number)]
                node = node._left
            else:
                found += node._by_high[bisect_left(node._highs, number) :]
                node = node._right
