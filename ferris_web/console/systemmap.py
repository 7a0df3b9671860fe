"""The system map, laid out: services and event types in columns, each type between who sends it and whom it triggers.

Pure: bonds in, boxes and lines out. What follows from what runs from left to right; a line of a circle runs back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext

from ferris_web.executions.system_map import SENDS, Bond

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 196, 40, 64, 12, 8
_SWEEPS = 4
Key = tuple[str, str]  # (kind, name): kind is service or type here


@dataclass(slots=True, eq=False)
class Place:
    """One drawn service or event type."""

    kind: str
    name: str
    project: str = ""
    x: int = 0
    y: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A bond as an SVG path. `state` is that of the bond."""

    path: str
    state: str
    label: str


@dataclass(frozen=True)
class Map:
    """What to draw, in pixels."""

    places: list[Place]
    lines: list[Line]
    width: int
    height: int


def layout(bonds: Sequence[Bond]) -> Map:
    """Lay out a map."""
    projects = {bond.service: bond.project for bond in bonds}
    drawing = drawn_of([(*_ends(bond), bond.state, _label(bond)) for bond in bonds])
    for place in drawing.places:
        place.project = projects[place.name] if place.kind == "service" else ""
    return drawing


def drawn_of(bonds: Sequence[tuple[Key, Key, str, str]]) -> Map:
    """Lay out anything of boxes and lines: each line is from, to, state and label."""
    after: dict[Key, list[Key]] = defaultdict(list)
    before: dict[Key, list[Key]] = defaultdict(list)
    nodes: dict[Key, None] = {}
    for source, target, _, _ in bonds:
        nodes |= {source: None, target: None}
        after[source].append(target)
        before[target].append(source)
    columns = _columns(nodes, after, before)
    places = {key: Place(*key) for key in nodes}
    for number, column in enumerate(columns):
        for line, key in enumerate(column):
            places[key].x = MARGIN + number * (WIDTH + GAP_X)
            places[key].y = MARGIN + line * (HEIGHT + GAP_Y)
    lines = [
        Line(_path(places[source], places[target]), state, label) for source, target, state, label in bonds
    ]
    width = MARGIN + max(1, len(columns)) * (WIDTH + GAP_X)
    height = 2 * MARGIN + max(map(len, columns), default=1) * (HEIGHT + GAP_Y)
    return Map(list(places.values()), lines, width, height)


def _ends(bond: Bond) -> tuple[Key, Key]:
    service, kind = ("service", bond.service), ("type", bond.event_type)
    return (service, kind) if bond.kind == SENDS else (kind, service)


def _label(bond: Bond) -> str:
    said = {
        "both": gettext("declared, seen {seen} times").format(seen=bond.seen),
        "declared": gettext("declared, not seen lately"),
        "seen": gettext("seen {seen} times, in no manifest").format(seen=bond.seen),
    }[bond.state]
    return f"{' → '.join(e[1] for e in _ends(bond))}: {said}"


def _columns(
    nodes: Iterable[Key], after: dict[Key, list[Key]], before: dict[Key, list[Key]]
) -> list[list[Key]]:
    """Each node right of all that leads to it, circles cut; within a column near its neighbours."""
    forward = _without_circles(nodes, after)
    depth: dict[Key, int] = dict.fromkeys(nodes, 0)
    for node in _sorted(nodes, forward):
        for other in forward[node]:
            depth[other] = max(depth[other], depth[node] + 1)
    columns: list[list[Key]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in sorted(nodes, key=lambda key: key[1]):
        columns[depth[node]].append(node)
    rank = {key: float(n) for column in columns for n, key in enumerate(column)}
    for sweep in range(_SWEEPS):
        near = before if sweep % 2 == 0 else after
        for column in columns if sweep % 2 == 0 else reversed(columns):
            column.sort(key=lambda key: _middle(near[key], rank, rank[key]))
            rank |= {key: float(n) for n, key in enumerate(column)}
    return columns


def _middle(others: Sequence[Key], rank: dict[Key, float], own: float) -> float:
    return sum(rank[key] for key in others) / len(others) if others else own


def _without_circles(nodes: Iterable[Key], after: dict[Key, list[Key]]) -> dict[Key, list[Key]]:
    """The lines but those that lead back to where the search came from."""
    forward: dict[Key, list[Key]] = defaultdict(list)
    state: dict[Key, int] = {}  # 1: on the way here, 2: done
    for root in nodes:
        if root in state:
            continue
        state[root] = 1
        stack = [(root, iter(after[root]))]
        while stack:
            node, rest = stack[-1]
            for other in rest:
                if state.get(other) == 1:
                    continue
                forward[node].append(other)
                if other not in state:
                    state[other] = 1
                    stack.append((other, iter(after[other])))
                    break
            else:
                state[node] = 2
                stack.pop()
    return forward


def _sorted(nodes: Iterable[Key], forward: dict[Key, list[Key]]) -> list[Key]:
    """Each before what follows it."""
    waits = Counter(other for others in forward.values() for other in others)
    ready = [node for node in nodes if not waits[node]]
    order = []
    while ready:
        node = ready.pop()
        order.append(node)
        for other in forward[node]:
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    return order


def _path(a: Place, b: Place) -> str:
    x1, y1, x2, y2 = a.x + WIDTH, a.y + HEIGHT // 2, b.x, b.y + HEIGHT // 2
    if x2 > x1:
        reach = (x2 - x1) // 2
        return f"M{x1} {y1}C{x1 + reach} {y1} {x2 - reach} {y2} {x2} {y2}"
    return f"M{x1} {y1}C{x1 + GAP_X} {y1} {x2 - GAP_X} {y2} {x2} {y2}"
