"""The causal graph of one flow, laid out: events and executions from left to right, siblings from top to bottom.

Pure: a tree in, boxes and lines out. Siblings of one service (or one event type) become one box when there are many of
them, and their children are gathered in the same way, so that a flow of thousands stays readable; a box that the
viewer opened is drawn one by one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from ferris.causality import EVENT, GATHERED, GATHERING, Node, Path, Tree
from ferris.events import RETRY_REQUESTED, RUN_REQUESTED, SCHEDULE_DUE

GROUP_ABOVE = 8  # more siblings of one name than this are drawn as one
MAX_BOXES = 400  # more boxes than this and the grouping becomes coarser
MOST_OPENED = 100  # siblings of a box that the viewer opened; the rest stay in one
BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 196, 46, 36, 14, 8

_WORDS = {RUN_REQUESTED: _("run by hand"), RETRY_REQUESTED: _("run again"), SCHEDULE_DUE: _("by the clock")}
_ATTENTION = ("failed", "in_progress", "queued", "pending", "cancelled", "skipped")


@dataclass(slots=True, eq=False)
class Box:
    """One drawn node: one item, or several siblings of one name."""

    items: list[Node]
    children: list[Box] = field(default_factory=list)
    critical: bool = False
    chosen: bool = False
    x: int = 0
    y: int = 0

    @property
    def first(self) -> Node:
        """The item whose key names the box."""
        return self.items[0]

    @property
    def kind(self) -> str:
        """Of its items: event, execution or gathering."""
        return self.first.kind

    @property
    def is_event(self) -> bool:
        """True for events."""
        return self.kind == EVENT

    @property
    def waits(self) -> bool:
        """True for a gathering: it is no execution yet."""
        return self.kind == GATHERING

    @property
    def name(self) -> str:
        """The event type or the service."""
        return self.first.name

    @property
    def label(self) -> str:
        """What is written on it: the name, or words for what the platform sends itself."""
        return label(self.first)

    @property
    def only(self) -> Node | None:
        """The item when it stands alone."""
        return self.first if len(self.items) == 1 else None

    @property
    def statuses(self) -> dict[str, int]:
        """How many executions have which status, the most frequent first."""
        return dict(Counter(i.status for i in self.items if i.status).most_common())

    @property
    def status(self) -> str:
        """The status that asks for attention most."""
        found = self.statuses
        return next((status for status in _ATTENTION if status in found), "completed" if found else "")

    @property
    def longest(self) -> timedelta | None:
        """What the slowest of its executions took."""
        return max((item.took for item in self.items if item.took is not None), default=None)


def label(node: Node) -> str:
    """A node's name, or words for what the platform sends itself."""
    return _WORDS.get(node.name, node.name)


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from one box to another: an SVG path. `kind` beside the tree's own lines: gathered, mapped, replayed."""

    path: str
    kind: str = ""
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """What to draw, in pixels."""

    boxes: list[Box]
    edges: list[Edge]
    width: int
    height: int
    complete: bool  # False: more boxes than fit, the rest is left out
    chosen: Box | None = None


def layout(tree: Tree, path: Path | None = None, chosen: str = "", opened: Collection[str] = ()) -> Graph:
    """Lay out a flow. `chosen` is the key of the item whose box is marked; boxes that hold one of `opened` are drawn
    one by one."""
    roots: list[Box] = []
    for limit in (GROUP_ABOVE, 3, 1):
        roots = _forest(tree, limit, set(opened))
        if sum(1 for _ in _walk(roots)) <= MAX_BOXES:
            break
    boxes = list(_place(roots))
    complete = len(boxes) <= MAX_BOXES
    drawn = boxes if complete else sorted(boxes, key=lambda b: (b.y, b.x))[:MAX_BOXES]
    of = {item.key: box for box in drawn for item in box.items}
    critical = [of[key] for key in (path.keys if path else ()) if key in of]
    for box in critical:
        box.critical = True
    marked = of.get(chosen)
    if marked:
        marked.chosen = True
    width = max((b.x for b in drawn), default=0) + BOX_WIDTH + MARGIN
    height = max((b.y for b in drawn), default=0) + BOX_HEIGHT + MARGIN
    edges = list(_edges(tree, drawn, of, critical))
    return Graph(drawn, edges, width, height, complete, marked)


def _forest(tree: Tree, limit: int, opened: set[str]) -> list[Box]:
    """The boxes without a cause, each with its children, siblings gathered above `limit`."""
    roots = list(_gather(tree.roots, limit, opened))
    queue = list(roots)
    while queue:
        box = queue.pop()
        found = [child for item in box.items for child in tree.children[item.key]]
        box.children = list(_gather(found, limit, opened))
        queue += box.children
    return roots


def _gather(siblings: Sequence[Node], limit: int, opened: set[str]) -> Iterator[Box]:
    by_name: dict[tuple[str, str, str], list[Node]] = {}
    for item in siblings:
        by_name.setdefault((item.kind, item.name, item.flow), []).append(item)
    for members in by_name.values():
        if len(members) <= limit:
            yield from (Box([member]) for member in members)
        elif opened and not opened.isdisjoint(member.key for member in members):
            yield from (Box([member]) for member in members[:MOST_OPENED])
            if members[MOST_OPENED:]:
                yield Box(members[MOST_OPENED:])
        else:
            yield Box(members)


def _walk(roots: Sequence[Box]) -> Iterator[Box]:
    stack = list(reversed(roots))
    while stack:
        box = stack.pop()
        yield box
        stack += reversed(box.children)


def _place(roots: Sequence[Box]) -> Iterator[Box]:
    """Give every box its place: a leaf takes the next free line, a parent that of its first child: the page begins
    at the first event."""
    order = []
    depth = {id(root): 0 for root in roots}
    line = 0
    for box in _walk(roots):
        order.append(box)
        box.x = MARGIN + depth[id(box)] * (BOX_WIDTH + GAP_X)
        for child in box.children:
            depth[id(child)] = depth[id(box)] + 1
        if not box.children:
            box.y = MARGIN + line * (BOX_HEIGHT + GAP_Y)
            line += 1
    for box in reversed(order):
        if box.children:
            box.y = box.children[0].y
    yield from order


def _edges(tree: Tree, drawn: Sequence[Box], of: dict[str, Box], critical: Sequence[Box]) -> Iterator[Edge]:
    """The tree's lines, then those across it; what is critical last, so that it lies above the others."""
    along = {(id(a), id(b)) for a, b in itertools.pairwise(critical) if a is not b}
    made: list[Edge] = []
    known: set[tuple[int, int]] = set()
    for box in drawn:
        for child in box.children:
            if child.first.key in of:
                pair = (id(box), id(child))
                known.add(pair)
                made.append(Edge(_curve(box, child), _kind(box, child), pair in along))
    for line in tree.lines:
        a, b = of.get(line.cause), of.get(line.key)
        if a is None or b is None or a is b or (id(a), id(b)) in known:
            continue
        known.add((id(a), id(b)))
        made.append(Edge(_across(a, b), line.kind, (id(a), id(b)) in along))
    yield from sorted(made, key=lambda edge: edge.critical)


def _kind(box: Box, child: Box) -> str:
    keys = {item.key for item in box.items}
    kind = next((cause.kind for cause in child.first.causes if cause.key in keys), "")
    return kind if kind in (GATHERED, "mapped", "replayed") else ""


def _curve(a: Box, b: Box) -> str:
    x1, y1 = a.x + BOX_WIDTH, a.y + BOX_HEIGHT // 2
    x2, y2 = b.x, b.y + BOX_HEIGHT // 2
    if y1 == y2:
        return f"M{x1} {y1}H{x2}"
    middle = (x1 + x2) // 2  # down a common line, so that many children do not make a fan
    return f"M{x1} {y1}H{middle - 8}Q{middle} {y1} {middle} {y1 + 8}V{y2 - 8}Q{middle} {y2} {middle + 8} {y2}H{x2}"


def _across(a: Box, b: Box) -> str:
    """From one place in the forest to any other: a swing, which is told from the tree's corners."""
    x1, y1 = a.x + BOX_WIDTH, a.y + BOX_HEIGHT // 2
    x2, y2 = b.x, b.y + BOX_HEIGHT // 2
    if x2 <= a.x:  # back, or beside each other: around the right-hand end
        x2 = b.x + BOX_WIDTH
        far = max(x1, x2) + GAP_X
        return f"M{x1} {y1}C{far} {y1} {far} {y2} {x2} {y2}"
    reach = max(GAP_X, (x2 - x1) // 2)
    return f"M{x1} {y1}C{x1 + reach} {y1} {x2 - reach} {y2} {x2} {y2}"
