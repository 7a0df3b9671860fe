"""The causal graph's layout: everything is drawn once, nothing overlaps, many become few."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from ferris_web.console.flowgraph import (
    BOX_HEIGHT,
    BOX_WIDTH,
    GROUP_ABOVE,
    MAX_BOXES,
    EventItem,
    ExecutionItem,
    Graph,
    layout,
)


def fan(width: int, types: int = 1) -> tuple[list[EventItem], list[ExecutionItem]]:
    """One execution that sends `width` events, each of which makes two services run."""
    events = [EventItem("e", "begin", None)]
    executions = [ExecutionItem("x", "load", "completed", "e")]
    for n in range(width):
        events.append(EventItem(f"e{n}", f"type{n % types}", "x"))
        executions += [
            ExecutionItem(f"x{n}{s}", s, "failed" if n == 1 else "completed", f"e{n}") for s in "ab"
        ]
    return events, executions


def items(graph: Graph) -> list[str]:
    return [i.key if isinstance(i, EventItem) else i.id for box in graph.boxes for i in box.items]


def overlapping(graph: Graph) -> bool:
    places = [(box.x, box.y) for box in graph.boxes]
    return any(
        abs(a[0] - b[0]) < BOX_WIDTH and abs(a[1] - b[1]) < BOX_HEIGHT
        for a, b in itertools.combinations(places, 2)
    )


def test_a_small_flow_is_drawn_one_by_one() -> None:
    graph = layout(*fan(3))
    assert len(graph.boxes) == 2 + 3 + 6
    assert len(graph.edges) == 10
    assert all(box.only for box in graph.boxes)
    assert not overlapping(graph)
    first = graph.boxes[0]
    assert (first.x, first.y) == (min(b.x for b in graph.boxes), min(b.y for b in graph.boxes))


def test_many_siblings_become_one_box() -> None:
    graph = layout(*fan(1707))
    assert len(graph.boxes) == 2 + 1 + 2
    many = next(box for box in graph.boxes if box.name == "type0")
    assert len(many.items) == 1707
    a = next(box for box in graph.boxes if box.name == "a")
    assert a.statuses == {"completed": 1706, "failed": 1}
    assert a.status == "failed", "what asks for attention is shown"


def test_grouping_begins_above_the_limit() -> None:
    assert sum(box.name == "type0" for box in layout(*fan(GROUP_ABOVE)).boxes) == GROUP_ABOVE
    assert sum(box.name == "type0" for box in layout(*fan(GROUP_ABOVE + 1)).boxes) == 1


def test_a_flow_of_many_names_is_cut_and_says_so() -> None:
    graph = layout(*fan(3000, types=1500))
    assert len(graph.boxes) == MAX_BOXES
    assert not graph.complete
    assert len(graph.edges) < MAX_BOXES


def test_a_long_chain_does_not_end_in_recursion() -> None:
    events, executions = [], []
    for n in range(5000):
        events.append(EventItem(f"e{n}", f"t{n}", f"x{n - 1}" if n else None))
        executions.append(ExecutionItem(f"x{n}", f"s{n}", "completed", f"e{n}"))
    assert len(layout(events, executions).boxes) == MAX_BOXES


def test_nothing_is_lost_in_a_ring() -> None:
    """Somebody can send an event that names as its cause the execution which it will start."""
    graph = layout(
        [EventItem("e", "t", "x")],
        [ExecutionItem("x", "s", "completed", "e")],
    )
    assert sorted(items(graph)) == ["e", "x"]


def test_nothing_at_all() -> None:
    graph = layout([], [])
    assert graph.boxes == graph.edges == []


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 30)), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 29)), max_size=30),
)
def test_everything_is_drawn_exactly_once(sent: list[tuple[int, int]], runs: list[tuple[int, int]]) -> None:
    events = [
        EventItem(f"e{n}", f"t{t}", f"x{cause}" if cause >= 0 else None) for n, (t, cause) in enumerate(sent)
    ]
    executions = [ExecutionItem(f"x{n}", f"s{s}", "completed", f"e{e}") for n, (s, e) in enumerate(runs)]
    known = {event.key for event in events}
    reachable = [x.id for x in executions if x.event in known]
    graph = layout(events, executions)
    assert sorted(items(graph)) == sorted([*known, *reachable])
    assert not overlapping(graph)
    assert all(box.x >= 0 and box.x + BOX_WIDTH <= graph.width for box in graph.boxes)
    assert all(box.y >= 0 and box.y + BOX_HEIGHT <= graph.height for box in graph.boxes)
