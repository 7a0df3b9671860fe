"""What caused what within one flow: a forest of events and executions, and the way through it that took longest.

Values only. A node names its causes; the first of them is its place in the forest, the others (the events that were
gathered for one execution) are lines across it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

EVENT: Final = "event"
"""Kinds of nodes. A gathering is a node only while it waits."""
EXECUTION: Final = "execution"
GATHERING: Final = "gathering"

SENT: Final = "sent"
"""Kinds of causes: an execution `sent` an event, an event `triggered` an execution, was `gathered` for it with others,
was `mapped` to another event, or was `replayed` as another one."""
TRIGGERED: Final = "triggered"
GATHERED: Final = "gathered"
MAPPED: Final = "mapped"
REPLAYED: Final = "replayed"


@dataclass(frozen=True, slots=True)
class Cause:
    """What led to a node, and how."""

    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class Node:
    """An event or an execution. `at`: when it came to be known. `ended` is None while an execution is open.

    `flow` is empty, or the other flow that it belongs to: it stands at the edge of this one, and what it caused there
    is not told. `gaps`: from the end of an attempt to the begin of the next one.
    """

    key: str
    kind: str
    name: str
    at: datetime
    causes: tuple[Cause, ...] = ()
    status: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    number: int = 0
    flow: str = ""
    gaps: tuple[tuple[datetime, datetime], ...] = ()

    @property
    def open(self) -> bool:
        """True for what will go on by itself."""
        return (
            self.kind != EVENT and self.ended is None and self.status in ("pending", "queued", "in_progress")
        )

    @property
    def waited(self) -> timedelta | None:
        """How long an execution stood in line before its script ran."""
        return self.started - self.at if self.started is not None else None

    @property
    def took(self) -> timedelta | None:
        """How long it ran; None as long as it does."""
        return self.ended - self.started if self.ended is not None and self.started is not None else None


@dataclass(frozen=True, slots=True)
class Line:
    """A cause that is not the node's place in the forest."""

    cause: str
    key: str
    kind: str


class Tree:
    """The forest. The order of the nodes given is the order of siblings. Every node is in it exactly once: a ring of
    causes, which a sender can make up, is cut at the first of its nodes."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = {node.key: node for node in nodes}
        self.children: dict[str, list[Node]] = {key: [] for key in self.nodes}
        self.roots: list[Node] = []
        self.lines: list[Line] = []
        parents: dict[str, str] = {}
        for node in self.nodes.values():
            known = [cause for cause in node.causes if cause.key in self.nodes and cause.key != node.key]
            if known:
                parents[node.key] = known[0].key
            else:
                self.roots.append(node)
            self.lines += [Line(cause.key, node.key, cause.kind) for cause in known[1:]]
        for key in self._rings(parents):
            self.lines.append(Line(parents.pop(key), key, SENT))
            self.roots.append(self.nodes[key])
        for key, parent in parents.items():
            self.children[parent].append(self.nodes[key])

    @staticmethod
    def _rings(parents: dict[str, str]) -> list[str]:
        """One node of each ring."""
        found, done = [], set[str]()
        for key in parents:
            way: dict[str, None] = {}
            place = key
            while place in parents and place not in done and place not in way:
                way[place] = None
                place = parents[place]
            if place in way:
                found.append(place)
            done.update(way)
        return found

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Every node with its depth, each before what it caused."""
        stack = [(0, node) for node in reversed(self.roots)]
        while stack:
            depth, node = stack.pop()
            yield depth, node
            stack += [(depth + 1, child) for child in reversed(self.children[node.key])]


@dataclass(frozen=True, slots=True)
class Path:
    """The chain of causes that ends with what ended last: nothing else made the flow take as long as it did.

    `running` is time in scripts, `waiting` time of executions in line, at first and again for another attempt; the rest
    of `length` is time of events under way, or in a gathering. `open`: its end is still to come.
    """

    keys: tuple[str, ...]
    length: timedelta
    running: timedelta
    waiting: timedelta
    open: bool

    @property
    def other(self) -> timedelta:
        """Neither running nor waiting in line."""
        return max(self.length - self.running - self.waiting, timedelta())


def critical_path(tree: Tree, now: datetime) -> Path | None:
    """The critical path of a flow as it stands; None for a flow of nothing but its first event."""
    own = [node for node in tree.nodes.values() if not node.flow and node.kind != GATHERING]
    if not any(node.kind == EXECUTION for node in own):
        return None
    last = max(own, key=lambda node: (_end(node, now), node.number))
    chain = [last]
    seen = {last.key}
    while found := _latest_cause(tree, chain[-1], seen):
        seen.add(found.key)
        chain.append(found)
    chain.reverse()
    running, waiting = _spent(chain, now)
    length = max(_end(last, now) - chain[0].at, timedelta())
    return Path(tuple(node.key for node in chain), length, running, waiting, last.open)


def _end(node: Node, now: datetime) -> datetime:
    if node.kind == EVENT:
        return node.at
    return now if node.open else node.ended or node.at


def _latest_cause(tree: Tree, node: Node, seen: set[str]) -> Node | None:
    """Who made it wait: of several events that were gathered for it, the last one of this flow."""
    known = (tree.nodes.get(cause.key) for cause in node.causes if cause.key not in seen)
    return max(
        (cause for cause in known if cause and not cause.flow), key=lambda cause: cause.at, default=None
    )


def _spent(chain: Sequence[Node], now: datetime) -> tuple[timedelta, timedelta]:
    running = waiting = timedelta()
    for index, node in enumerate(chain):
        if node.kind != EXECUTION:
            continue
        until = chain[index + 1].at if index + 1 < len(chain) else _end(node, now)
        started = min(node.started or until, until)
        idle = sum(
            (max(min(end, until) - begin, timedelta()) for begin, end in node.gaps if begin < until),
            timedelta(),
        )
        waiting += max(started - node.at, timedelta()) + idle
        running += max(until - started - idle, timedelta())
    return running, waiting
