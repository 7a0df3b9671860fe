"""Charts as SVG attributes, which a Content-Security-Policy without inline styles lets through, and as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext

from ferris.charts import Chart, Series, Value
from ferris_web.console.charts import Bar, round_up
from ferris_web.console.presentation import milliseconds

WIDTH, HEIGHT, FOOT, HEAD = 720, 150, 18, 18
COLOURS: Final = 8
CAPTIONS: Final = 6
_CENTRE, _RADIUS, _HOLE = 75.0, 70.0, 38.0


@dataclass(frozen=True)
class Column:
    """What stands at one label: bars, and a link over the whole height."""

    x: float
    width: float
    bars: list[Bar]
    label: str
    href: str
    caption: str


@dataclass(frozen=True)
class Line:
    """One series as a path; what is missing is a gap."""

    colour: str
    path: str
    dots: list[tuple[float, float]]  # values with none beside them: a path of one point shows nothing


@dataclass(frozen=True)
class Slice:
    """One part of a pie."""

    colour: str
    path: str
    label: str
    href: str


@dataclass(frozen=True)
class Cell:
    """One value of the table."""

    text: str
    href: str = ""
    column: str = ""


@dataclass(frozen=True)
class Plot:
    """What the template draws: `kind` says what of it."""

    kind: str
    title: str
    key: str
    legend: list[tuple[str, str, str]]  # colour, name, sum
    head: list[str]
    rows: list[list[Cell]]
    columns: list[Column] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    grid: list[tuple[float, str]] = field(default_factory=list)  # y and what is written at it
    figure: str = ""
    empty: bool = False
    wide: bool = False
    description: str = ""
    problem: str = ""
    note: str = ""
    nothing: str = ""
    href: str = ""  # where it is changed
    width: int = WIDTH
    height: int = HEIGHT
    base: int = HEIGHT - FOOT


def plot(
    chart: Chart, key: str, links: Sequence[str] = (), *, series_links: Sequence[Sequence[str]] = ()
) -> Plot:
    """`key` is unique on the page. `links`: where each label leads to; `series_links`: each series at each label."""
    colours = [
        f"fill-{one.colour}" if one.colour else f"c c{n % COLOURS + 1}" for n, one in enumerate(chart.series)
    ]
    # A header that says nothing is none to who hears the table.
    head = [chart.first_column or gettext("Label"), *(one.name or gettext("value") for one in chart.series)]
    texts = [[written(value, chart.unit) for value in one.values] for one in chart.series]
    rows = [
        [
            Cell(label or "–", _at(links, n)),
            *(
                Cell(_at(texts[m], n), _at(_at(series_links, m, ()), n), one.name)
                for m, one in enumerate(chart.series)
            ),
        ]
        for n, label in enumerate(chart.labels)
    ]
    legend = [
        (
            colour,
            one.name,
            "" if chart.unit in ("ms", "%") or not chart.adds else written(_sum(one), chart.unit),
        )
        for colour, one in zip(colours, chart.series, strict=True)
    ]
    empty = not any(number(value) for one in chart.series for value in one.values)
    made = {"kind": chart.kind, "title": chart.title, "key": key, "head": head, "rows": rows}
    if chart.kind == "kpi":
        last = chart.series[0].values[-1] if chart.series and chart.series[0].values else None
        return Plot(**made, legend=[], figure=written(last, chart.unit) or gettext("none"))  # type: ignore[arg-type]
    if chart.kind == "table":
        return Plot(**made, legend=[], empty=not rows)  # type: ignore[arg-type]
    if chart.kind == "pie":
        slices, legend = _pie(chart, links)
        return Plot(**made, legend=legend, slices=slices, empty=empty)  # type: ignore[arg-type]
    stacked = chart.kind == "bar"
    scale = _scale(chart.series, stacked)
    return Plot(
        **made,  # type: ignore[arg-type]
        legend=legend,
        columns=_columns(chart, texts, colours, scale, links, stacked),
        lines=[]
        if stacked
        else [_line(one, colour, scale) for one, colour in zip(chart.series, colours, strict=True)],
        grid=[(round(scale.y(value), 1), written(value, chart.unit)) for value in scale.marks()],
        empty=empty,
    )


def number(value: Value) -> float:
    """The height of a value; nothing, and what is no number, has none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return float(value)


def written(value: Value, unit: str) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if unit == "ms":
        return milliseconds(round(value))
    whole = float(value).is_integer() or abs(value) >= 1000
    if whole and abs(value) < 1000:  # in every language
        text = str(round(value))
    else:
        text = number_format(round(value) if whole else f"{value:.3g}", force_grouping=True)
    return f"{text}{'' if unit == '%' or not unit else ' '}{unit}"


def _space() -> int:
    return HEIGHT - FOOT - HEAD


@dataclass(frozen=True)
class _Scale:
    """From the least to the most that is drawn, with zero between them or at the foot."""

    top: float
    bottom: float = 0.0

    def y(self, value: float) -> float:
        return HEIGHT - FOOT - (value - self.bottom) / (self.top - self.bottom) * _space()

    def marks(self) -> list[float]:
        if not self.bottom:
            return [self.top * 0.5, self.top]
        return [self.bottom, 0.0, *([self.top] if self.top else [])]


def _scale(series: Sequence[Series], stacked: bool) -> _Scale:
    most = max((len(one.values) for one in series), default=0)
    columns = [[number(_at(one.values, n, None)) for one in series] for n in range(most)]
    if stacked:
        ups = [sum(v for v in column if v > 0) for column in columns]
        downs = [sum(v for v in column if v < 0) for column in columns]
    else:
        ups = downs = [value for column in columns for value in column]
    highest, lowest = max(ups, default=0.0), min(downs, default=0.0)
    bottom = -_round(-lowest) if lowest < 0 else 0.0
    return _Scale(_round(highest) if highest > 0 or not bottom else 0.0, bottom)


def _round(amount: float) -> float:
    """The next value to end a scale with, also below one."""
    if not 0 < amount < 1:
        return round_up(math.ceil(amount))
    factor = 10.0 ** min(300, math.ceil(-math.log10(amount)))
    return round_up(math.ceil(amount * factor)) / factor


def _columns(
    chart: Chart,
    texts: Sequence[Sequence[str]],
    colours: Sequence[str],
    scale: _Scale,
    links: Sequence[str],
    stacked: bool,
) -> list[Column]:
    step = WIDTH / max(1, len(chart.labels))
    every = max(1, -(-len(chart.labels) // CAPTIONS))
    found = []
    for n, label in enumerate(chart.labels):
        x, bars, told = n * step, [], []
        ends = {True: scale.y(0), False: scale.y(0)}  # of the bars above zero, and of those below
        gap = min(2.0, step / 8)
        for one, text, colour in zip(chart.series, texts, colours, strict=True):
            value = _at(one.values, n, None)
            if value not in (None, 0):
                told.append(f"{text[n]} {one.name}")
            if stacked and (amount := number(value)):
                tall = max(2.0, abs(amount) / (scale.top - scale.bottom) * _space())
                y = ends[amount > 0] - (tall if amount > 0 else 0)
                ends[amount > 0] += -tall if amount > 0 else tall
                bars.append(
                    Bar(round(x + gap, 1), round(y, 1), round(step - 2 * gap, 1), round(tall, 1), colour)
                )
        caption = label if n % every == 0 else ""
        said = f"{label}: {', '.join(told) or gettext('none')}"
        found.append(Column(round(x, 1), round(step, 1), bars, said, _at(links, n), caption))
    return found


def _line(series: Series, colour: str, scale: _Scale) -> Line:
    step = WIDTH / max(1, len(series.values))
    parts: list[list[tuple[float, float]]] = [[]]
    for n, value in enumerate(series.values):
        if value is None or isinstance(value, str):
            parts.append([])
            continue
        y = scale.y(number(value))
        parts[-1].append((round((n + 0.5) * step, 1), round(y, 1)))
    path = " ".join("M" + " L".join(f"{x} {y}" for x, y in part) for part in parts if len(part) > 1)
    return Line(colour, path, [part[0] for part in parts if len(part) == 1])


def _pie(chart: Chart, links: Sequence[str]) -> tuple[list[Slice], list[tuple[str, str, str]]]:
    values = [max(0.0, number(v)) for v in chart.series[0].values] if chart.series else []
    total, turned, slices, legend = sum(values), 0.0, [], []
    for n, (label, value) in enumerate(zip(chart.labels, values, strict=False)):
        colour = f"c c{n % COLOURS + 1}"
        if value <= 0:
            continue
        part = value / total
        told = f"{label}: {written(value, chart.unit)} ({part:.0%})"
        slices.append(Slice(colour, _arc(turned, part), told, _at(links, n)))
        legend.append((colour, label, f"{part:.0%}"))
        turned += part
    return slices, legend


def _arc(turned: float, part: float) -> str:
    """A ring's part; a whole ring is two halves, as an arc cannot end where it began."""
    if part >= 0.9999:
        return f"{_arc(0, 0.5)} {_arc(0.5, 0.5)}"

    def at(radius: float, where: float) -> str:
        angle = 2 * math.pi * where - math.pi / 2
        return f"{_CENTRE + radius * math.cos(angle):.2f} {_CENTRE + radius * math.sin(angle):.2f}"

    large, end = int(part > 0.5), turned + part
    return (
        f"M{at(_RADIUS, turned)} A{_RADIUS} {_RADIUS} 0 {large} 1 {at(_RADIUS, end)} "
        f"L{at(_HOLE, end)} A{_HOLE} {_HOLE} 0 {large} 0 {at(_HOLE, turned)} Z"
    )


def _sum(series: Series) -> float:
    return sum(number(value) for value in series.values)


def _at(values: Sequence[Any], n: int, default: Any = "") -> Any:
    return values[n] if n < len(values) else default
