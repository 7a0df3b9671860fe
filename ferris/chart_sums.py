"""What events come to in a chart: the value and the group that each counts with, sums of them, and these drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from ferris.chart_json import LARGEST
from ferris.charts import Chart, Series
from ferris.event_keys import inside, is_path, key_of
from ferris.events import Event
from ferris.filters import attribute

Key = TypeVar("Key", bound=Hashable)

COUNT: Final = "count"
AGGREGATES: Final = (COUNT, "sum", "average", "least", "most", "last")
WORDS: Final = (*AGGREGATES, "other", "none", "Group", "events")
MOST_GROUPS: Final = 50
"""So many groups of a chart are added up each by itself; what belongs to further ones is added to the rest."""
MOST_SHOWN: Final = 20
LONGEST_GROUP: Final = 100
NONE: Final = ""
"""The group of events that have nothing at the path."""


@dataclass
class Sum:
    """Values added up. `at` is when the last of them was."""

    count: int = 0
    total: float = 0.0
    least: float = math.inf
    most: float = -math.inf
    last: float = 0.0
    at: datetime | None = None

    def take(self, value: float, at: datetime) -> None:
        """Add one value."""
        self.add(Sum(1, value, value, value, value, at))

    def add(self, other: Sum) -> None:
        """Add all of another one."""
        self.count += other.count
        self.total += other.total
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        if other.at is not None and (self.at is None or other.at >= self.at):
            self.last, self.at = other.last, other.at

    def of(self, aggregate: str) -> float | None:
        """The sum as one value; None without any."""
        if not self.count:
            return 0 if aggregate == COUNT else None
        return {
            COUNT: self.count,
            "sum": self.total,
            "average": self.total / self.count,
            "least": self.least,
            "most": self.most,
            "last": self.last,
        }[aggregate]


@dataclass(frozen=True)
class Group:
    """Whose values they are. `rest`: of all groups that are not added up by themselves."""

    name: str = NONE
    rest: bool = False


ALL: Final = Group()
REST: Final = Group(rest=True)


def path_problem(path: str) -> str:
    """What is wrong with the path of a value or a group; "" for nothing."""
    return "" if not path or is_path(path) else 'is no path such as "data.total" or "subject"'


def value_of(event: Event, path: str) -> float | None:
    """The number at a path, also one written as text; None when there is none. An empty path is 1: events count."""
    if not path:
        return 1.0
    name, *steps = path.split(".")
    found = inside(attribute(event, name), steps)
    if isinstance(found, str) and len(found) <= LONGEST_GROUP:
        try:
            found = float(found)
        except ValueError:
            return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) <= LARGEST else None  # NaN is not


def group_of(event: Event, path: str, known: Sequence[str]) -> Group:
    """The group at a path, of those that are `known` or may still become so."""
    if not path:
        return ALL
    name = (key_of(event, path) or NONE)[:LONGEST_GROUP].replace("\0", "�")
    name = name.encode("utf-8", "replace").decode()
    return Group(name) if name == NONE or name in known or len(known) < MOST_GROUPS else REST


@dataclass(frozen=True)
class Look:
    """How sums are drawn."""

    kind: str
    title: str
    aggregate: str = COUNT
    unit: str = ""
    grouped: bool = False
    shown: int = 8


def drawn(
    look: Look,
    labels: Sequence[str],
    sums: Mapping[tuple[int, Group], Sum],
    first_column: str,
    say: Callable[[str], str] = str,
) -> Chart:
    """The chart of sums, given by the place of their span and their group. `labels` are those of the spans. What
    the chart itself says, and no event did, is said by `say`: the words in WORDS.

    Over time, groups are lines or colours; a pie and a table have one slice or row for each group (a table without
    groups, and any chart over time, one for each span); a KPI is one value of all. The groups that come to most are
    shown, the others are the rest.
    """
    whole = _folded(sums, lambda _, group: group)
    if look.kind == "kpi":
        every = _folded(sums, lambda *_: ALL).get(ALL, Sum()).of(look.aggregate)
        return Chart("kpi", look.title, ("",), (Series(say(look.aggregate), (every,)),), look.unit)
    shown = _first(look, whole)
    if look.kind == "pie" or (look.kind == "table" and look.grouped):
        rows = _folded(sums, lambda _, group: group if group in shown else REST)
        columns = [Series(say(look.aggregate), [rows[group].of(look.aggregate) for group in shown])]
        if look.kind == "table" and look.aggregate != COUNT:
            columns.append(Series(say("events"), [f"{rows[group].count:,}" for group in shown]))
        names = [_name(group, look, say) for group in shown]
        return Chart(look.kind, look.title, names, columns, look.unit, say("Group"))
    spans = _folded(sums, lambda place, group: (place, group if group in shown else REST))
    series = [
        Series(
            _name(group, look, say),
            [spans.get((place, group), Sum()).of(look.aggregate) for place in range(len(labels))],
        )
        for group in shown
    ]
    adds = look.aggregate in (COUNT, "sum")
    return Chart(look.kind, look.title, labels, series, look.unit, first_column, adds)


def _folded(sums: Mapping[tuple[int, Group], Sum], to: Callable[[int, Group], Key]) -> dict[Key, Sum]:
    found: dict[Key, Sum] = {}
    for (place, group), one in sums.items():
        found.setdefault(to(place, group), Sum()).add(one)
    return found


def _first(look: Look, whole: Mapping[Group, Sum]) -> list[Group]:
    """The groups that are drawn, the largest first, the rest last."""
    if not look.grouped:
        return [ALL] if look.kind != "pie" or ALL in whole else []
    ranked = sorted(
        (group for group in whole if not group.rest),
        key=lambda group: (-abs(whole[group].of(look.aggregate) or 0.0), group.name),
    )
    rest = len(ranked) > look.shown or REST in whole
    return [*ranked[: look.shown], *([REST] if rest else [])]


def _name(group: Group, look: Look, say: Callable[[str], str]) -> str:
    if not look.grouped:
        return say(look.aggregate)
    return say("other") if group.rest else group.name or say("none")
