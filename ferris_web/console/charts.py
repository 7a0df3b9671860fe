"""Small charts as SVG attributes: a Content-Security-Policy without inline styles draws them all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ferris_web.executions.models import Execution, Step

WIDTH, HEIGHT = 720, 150
LABELS = 88  # on the left, where the times of a history stand: in letters of a phone, too


@dataclass(frozen=True)
class Bar:
    """One rectangle; `label` is what a pointer on it reads."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str = ""


def round_up(value: int) -> int:
    """The next of 2, 4, 6, 8, 10, 20, 40 ...: a scale that does not jump with every execution."""
    scale = 1
    while True:
        for factor in (2, 4, 6, 8, 10):
            if value <= factor * scale:
                return factor * scale
        scale *= 10


RUNS = 60  # executions in the chart of one service


@dataclass(frozen=True)
class Run:
    """One execution as a bar: as high as it took long, coloured by how it ended."""

    row: Execution
    bar: Bar


@dataclass(frozen=True)
class RunChart:
    """The last executions of a service, oldest first."""

    runs: list[Run]
    lines: list[tuple[float, timedelta]]  # y and the time written at it
    width: int = WIDTH
    height: int = HEIGHT
    base: int = HEIGHT - 4


def runs(rows: Sequence[Execution]) -> RunChart:
    """Durations and outcomes of executions that are given newest first. What has not run is a stub."""
    shown = list(reversed(rows[:RUNS]))
    took = [_seconds(row) for row in shown]
    top = max(took, default=0.0) or 1.0
    step, space, base = (WIDTH - LABELS) / RUNS, HEIGHT - 22, HEIGHT - 4
    found = []
    for number, (row, seconds) in enumerate(zip(shown, took, strict=True)):
        tall = max(4.0, seconds / top * space)
        x = WIDTH - (len(shown) - number) * step
        found.append(
            Run(
                row,
                Bar(round(x + 1, 1), round(base - tall, 1), round(step - 2, 1), round(tall, 1), row.status),
            )
        )
    lines = [(round(base - space * part, 1), timedelta(seconds=top * part)) for part in (0.5, 1.0)]
    return RunChart(found, lines)


def _seconds(row: Execution) -> float:
    if row.started_at is None or row.finished_at is None:
        return 0.0
    return max(0.0, (row.finished_at - row.started_at).total_seconds())


@dataclass(frozen=True)
class Lane:
    """One line of the timeline."""

    name: str
    status: str
    bars: list[Bar]
    started: datetime
    finished: datetime | None


TIMELINE = 1000


def timeline(row: Execution, steps: Sequence[Step], now: datetime) -> list[Lane]:
    """The wait in the queue and each step, on one scale from creation to the end (or now)."""
    end = row.finished_at or now
    whole = max((end - row.created_at).total_seconds(), 0.001)

    def bar(start: datetime, stop: datetime, kind: str) -> Bar:
        x = max(0.0, (start - row.created_at).total_seconds() / whole * TIMELINE)
        width = max(4.0, (stop - start).total_seconds() / whole * TIMELINE)
        return Bar(round(min(x, TIMELINE - 4), 1), 0, round(min(width, TIMELINE - x), 1), 10, kind)

    started = row.started_at or end
    lanes = [Lane("waiting", "", [bar(row.created_at, started, "wait")], row.created_at, started)]
    for step in steps:
        if step.started_at:
            done = step.finished_at or row.finished_at
            stop = done or end
            kind = step.status if step.finished_at or not row.finished_at else "failed"
            lanes.append(Lane(step.script, kind, [bar(step.started_at, stop, kind)], step.started_at, done))
    return lanes
