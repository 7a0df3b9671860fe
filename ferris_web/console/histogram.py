"""A histogram above a list: columns that are links, each to the list of its time alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.utils import dateformat
from django.utils.formats import number_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ferris_web.console.charts import Bar
from ferris_web.console.words import word
from ferris_web.executions.buckets import Bucket
from ferris_web.executions.listings.histogram import Histogram

WIDTH, HEIGHT, FOOT, HEAD = 960, 96, 2, 2
_ORDER: Final[Mapping[str, str]] = {  # outcome to colour, from the foot of a column up
    "completed": "completed", "something": "completed", "all": "in_progress", "failed": "failed",
    "in_progress": "in_progress", "queued": "queued", "pending": "queued", "cancelled": "cancelled",
    "skipped": "cancelled", "nothing": "cancelled",
}  # fmt: skip
_SAID: Final[Mapping[str, Any]] = {
    "all": _("in all"), "something": _("triggered something"), "nothing": _("triggered nothing"),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One span."""

    x: float
    width: float
    bars: list[Bar]
    href: str
    label: str
    since: str
    until: str
    caption: str

    @property
    def percent(self) -> float:
        """Where it begins, of the whole width: the captions are drawn beside the columns, which are stretched."""
        return round(100 * self.x / WIDTH, 2)


@dataclass(frozen=True)
class Drawn:
    """What the template draws."""

    columns: list[Column]
    total: int
    since: datetime
    until: datetime
    legend: list[tuple[str, str, int]]
    cut: bool = False
    width: int = WIDTH
    height: int = HEIGHT
    base: int = HEIGHT - FOOT


def drawn(found: Histogram, path: str, rest: str) -> Drawn:
    """The columns of a histogram over the list at `path`, whose other filters are `rest`."""
    top = max((one.total for one in found.buckets), default=0)
    step = WIDTH / max(1, len(found.buckets))
    every = max(1, -(-len(found.buckets) // 6))  # a phone has room for six
    columns = [
        Column(
            round(n * step, 2),
            round(step, 2),
            _bars(one, n * step, step, top),
            f"{path}?{rest}{'&' if rest else ''}{urlencode({'from': _z(one.start), 'until': _z(one.end)})}",
            f"{_span(one.start, one.end)}: {_told(one)}",
            _z(one.start),
            _z(one.end),
            _caption(one.start, found.span) if n % every == 0 and n + 1 < len(found.buckets) else "",
        )
        for n, one in enumerate(found.buckets)
    ]
    sums: dict[str, int] = {}
    for one in found.buckets:
        for outcome, amount in one.counts.items():
            sums[outcome] = sums.get(outcome, 0) + amount
    legend = [(_ORDER.get(o, "wait"), _said(o), sums[o]) for o in _ORDER if o in sums]
    since, until = found.since.replace(microsecond=0), found.until.replace(microsecond=0)
    return Drawn(columns, found.total, since, until, legend, found.cut)


def _bars(one: Bucket, x: float, step: float, top: int) -> list[Bar]:
    y, bars = float(HEIGHT - FOOT), []
    gap = min(1.5, step / 8)
    for outcome, kind in _ORDER.items():
        if amount := one.counts.get(outcome):
            tall = max(1.5, amount / top * (HEIGHT - FOOT - HEAD))
            y -= tall
            bars.append(Bar(round(x + gap, 2), round(y, 1), round(step - 2 * gap, 2), round(tall, 1), kind))
    return bars


def _z(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _span(start: datetime, end: datetime) -> str:
    between = gettext("{since} to {until}")
    if end - start >= timedelta(days=1):
        return between.format(since=f"{start:%Y-%m-%d}", until=f"{end:%Y-%m-%d}")
    if end - start >= timedelta(minutes=1):
        return between.format(since=f"{start:%Y-%m-%d %H:%M}", until=f"{end:%H:%M} UTC")
    return between.format(since=f"{start:%Y-%m-%d %H:%M:%S}", until=f"{end:%H:%M:%S} UTC")


def _caption(start: datetime, span: timedelta) -> str:
    if span >= timedelta(hours=6):
        return dateformat.format(start, gettext("d M"))
    return f"{start:%H:%M}" if span >= timedelta(minutes=1) else f"{start:%H:%M:%S}"


def _said(outcome: str) -> str:
    return str(_SAID[outcome]) if outcome in _SAID else word(outcome)


def _told(one: Bucket) -> str:
    return ", ".join(
        f"{number_format(one.counts[o], force_grouping=True)} {_said(o)}" for o in _ORDER if one.counts.get(o)
    ) or gettext("none")
