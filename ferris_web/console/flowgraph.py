"""The causal graph of one flow, laid out: events and executions from left to right, siblings from top to bottom.

Pure: rows in, boxes and lines out. An event has one cause at most and an execution one event, so a flow is a
forest. Siblings of one service (or one event type) become one box when there are many of them, and their children
are gathered in the same way, so that a flow of thousands stays readable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ferris.events import RETRY_REQUESTED, RUN_REQUESTED, SCHEDULE_DUE

GROUP_ABOVE = 8  # more siblings of one name than this are drawn as one
MAX_BOXES = 400  # more boxes than this and the grouping becomes coarser
BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 204, 46, 44, 14, 8


@dataclass(frozen=True, slots=True)
class EventItem:
    """An event of the flow. `cause` is the id of the execution that sent it."""

    key: str
    type: str
    cause: str | None


@dataclass(frozen=True, slots=True)
class ExecutionItem:
    """An execution of the flow. `event` is the key of the event that started it."""

    id: str
    service: str
    status: str
    event: str
    detail: str = ""


Item = EventItem | ExecutionItem
_WORDS = {RUN_REQUESTED: "run by hand", RETRY_REQUESTED: "retry", SCHEDULE_DUE: "by the clock"}


@dataclass(slots=True, eq=False)
class Box:
    """One drawn node: one item, or several siblings of one name."""

    items: list[Item]
    children: list[Box] = field(default_factory=list)
    x: int = 0
    y: int = 0

    @property
    def is_event(self) -> bool:
        """True for events, False for executions."""
        return isinstance(self.items[0], EventItem)

    @property
    def name(self) -> str:
        """The event type or the service."""
        first = self.items[0]
        return first.type if isinstance(first, EventItem) else first.service

    @property
    def label(self) -> str:
        """What is written on it: the name, or words for what the platform sends itself."""
        return _WORDS.get(self.name, self.name)

    @property
    def only(self) -> Item | None:
        """The item when it stands alone."""
        return self.items[0] if len(self.items) == 1 else None

    @property
    def statuses(self) -> dict[str, int]:
        """How many executions have which status, the most frequent first."""
        return dict(Counter(i.status for i in self.items if isinstance(i, ExecutionItem)).most_common())

    @property
    def status(self) -> str:
        """The status that asks for attention most."""
        found = self.statuses
        for status in ("failed", "in_progress", "queued", "pending", "cancelled", "skipped"):
            if status in found:
                return status
        return "completed" if found else ""


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from one box to another: an SVG path."""

    path: str


@dataclass(frozen=True, slots=True)
class Graph:
    """What to draw, in pixels."""

    boxes: list[Box]
    edges: list[Edge]
    width: int
    height: int
    complete: bool  # False: more boxes than fit, the rest is left out


def layout(events: Sequence[EventItem], executions: Sequence[ExecutionItem]) -> Graph:
    """Lay out a flow. The order of the rows is the order of siblings."""
    children = _Children(events, executions)
    roots: list[Box] = []
    for limit in (GROUP_ABOVE, 3, 1):
        roots = children.forest(limit)
        if sum(1 for _ in _walk(roots)) <= MAX_BOXES:
            break
    boxes = list(_place(roots))
    complete = len(boxes) <= MAX_BOXES
    drawn = boxes if complete else sorted(boxes, key=lambda b: (b.y, b.x))[:MAX_BOXES]
    kept = set(map(id, drawn))
    edges = [Edge(_curve(b, c)) for b in drawn for c in b.children if id(c) in kept]
    width = max((b.x for b in drawn), default=0) + BOX_WIDTH + MARGIN
    height = max((b.y for b in drawn), default=0) + BOX_HEIGHT + MARGIN
    return Graph(drawn, edges, width, height, complete)


class _Children:
    """What each item caused."""

    def __init__(self, events: Sequence[EventItem], executions: Sequence[ExecutionItem]) -> None:
        known = {e.id for e in executions}
        self._events = events
        self._runs: dict[str, list[Item]] = {}
        self._sent: dict[str, list[Item]] = {}
        for execution in executions:
            self._runs.setdefault(execution.event, []).append(execution)
        for event in events:
            if event.cause in known:
                self._sent.setdefault(event.cause or "", []).append(event)
        self._roots: list[Item] = [e for e in events if e.cause not in known]

    def forest(self, limit: int) -> list[Box]:
        """The boxes without a cause, each with its children, siblings gathered above `limit`."""
        seen: set[str] = set()
        roots = self._grow(self._roots, limit, seen)
        # An event may claim a cause that it itself started: such a ring has no root, so it is cut anywhere.
        for event in self._events:
            if event.key not in seen:
                roots += self._grow([event], limit, seen)
        return roots

    def _grow(self, first: list[Item], limit: int, seen: set[str]) -> list[Box]:
        roots = list(_gather(self._fresh(first, seen), limit))
        queue = list(roots)
        while queue:
            box = queue.pop()
            found = [child for item in box.items for child in self._of(item)]
            box.children = list(_gather(self._fresh(found, seen), limit))
            queue += box.children
        return roots

    def _of(self, item: Item) -> list[Item]:
        source: Mapping[str, list[Item]] = self._runs if isinstance(item, EventItem) else self._sent
        return source.get(_key(item), [])

    @staticmethod
    def _fresh(items: Iterable[Item], seen: set[str]) -> list[Item]:
        fresh = []
        for item in items:
            if _key(item) not in seen:
                seen.add(_key(item))
                fresh.append(item)
        return fresh


def _key(item: Item) -> str:
    return item.key if isinstance(item, EventItem) else item.id


def _gather(siblings: Sequence[Item], limit: int) -> Iterator[Box]:
    by_name: dict[str, list[Item]] = {}
    for item in siblings:
        by_name.setdefault(item.type if isinstance(item, EventItem) else item.service, []).append(item)
    for members in by_name.values():
        if len(members) > limit:
            yield Box(members)
        else:
            yield from (Box([member]) for member in members)


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


def _curve(a: Box, b: Box) -> str:
    x1, y1 = a.x + BOX_WIDTH, a.y + BOX_HEIGHT // 2
    x2, y2 = b.x, b.y + BOX_HEIGHT // 2
    if y1 == y2:
        return f"M{x1} {y1}H{x2}"
    middle = (x1 + x2) // 2  # down a common line, so that many children do not make a fan
    return f"M{x1} {y1}H{middle - 8}Q{middle} {y1} {middle} {y1 + 8}V{y2 - 8}Q{middle} {y2} {middle + 8} {y2}H{x2}"
