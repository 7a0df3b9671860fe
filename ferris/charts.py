"""A chart as values: what is drawn, whoever counted it and whoever draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

KINDS: Final = ("line", "bar", "pie", "table", "kpi")
Value = float | int | str | None


@dataclass(frozen=True)
class Series:
    """One line, one colour of the bars, or one column of the table: a value for each label of the chart."""

    name: str
    values: Sequence[Value]
    colour: str = ""  # a status, where the series is one; else one is given


@dataclass(frozen=True)
class Chart:
    """`labels` stand along the axis of a line or bar chart, at the slices of a pie, in the first column of a table.

    A pie and a KPI show the first series; a KPI its last value.
    """

    kind: str
    title: str
    labels: Sequence[str] = ()
    series: Sequence[Series] = field(default_factory=tuple)
    unit: str = ""
    first_column: str = ""
    adds: bool = True
    """Whether the values of a series come to something when they are added: counts do, averages don't."""
