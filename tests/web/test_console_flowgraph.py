"""The causal graph's layout: everything is drawn once, nothing overlaps, many become few."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ferris.causality import EVENT, EXECUTION, GATHERED, SENT, TRIGGERED, Cause, Node, Tree, critical_path
from ferris_web.console.flowgraph import (
    BOX_HEIGHT,
    BOX_WIDTH,
    GROUP_ABOVE,
    MAX_BOXES,
    MOST_OPENED,
    Graph,
    layout,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def sent(key: str, kind: str, cause: str | None = None) -> Node:
    return Node(key, EVENT, kind, START, (Cause(cause, SENT),) if cause else ())


def ran(key: str, service: str, event: str, *gathered: str, status: str = "completed", took: int = 1) -> Node:
    causes = (Cause(event, TRIGGERED), *(Cause(other, GATHERED) for other in gathered))
    return Node(key, EXECUTION, service, START, causes, status, START, START + timedelta(seconds=took))


def fan(width: int, types: int = 1) -> list[Node]:
    """One execution that sends `width` events, each of which makes two services run."""
    nodes = [sent("e", "begin"), ran("x", "load", "e")]
    for n in range(width):
        nodes.append(sent(f"e{n}", f"type{n % types}", "x"))
        nodes += [
            ran(f"x{n}{s}", s, f"e{n}", status="failed" if n == 1 else "completed", took=n) for s in "ab"
        ]
    return nodes


def items(graph: Graph) -> list[str]:
    return [i.key for box in graph.boxes for i in box.items]


def overlapping(graph: Graph) -> bool:
    places = [(box.x, box.y) for box in graph.boxes]
    return any(
        abs(a[0] - b[0]) < BOX_WIDTH and abs(a[1] - b[1]) < BOX_HEIGHT
        for a, b in itertools.combinations(places, 2)
    )


def test_a_small_flow_is_drawn_one_by_one() -> None:
    graph = layout(Tree(fan(3)))
    assert len(graph.boxes) == 2 + 3 + 6
    assert len(graph.edges) == 10
    assert all(box.only for box in graph.boxes)
    assert not overlapping(graph)
    first = graph.boxes[0]
    assert (first.x, first.y) == (min(b.x for b in graph.boxes), min(b.y for b in graph.boxes))


def test_many_siblings_become_one_box() -> None:
    graph = layout(Tree(fan(1707)))
    assert len(graph.boxes) == 2 + 1 + 2
    many = next(box for box in graph.boxes if box.name == "type0")
    assert len(many.items) == 1707
    a = next(box for box in graph.boxes if box.name == "a")
    assert a.statuses == {"completed": 1706, "failed": 1}
    assert a.status == "failed", "what asks for attention is shown"
    assert a.longest == timedelta(seconds=1706)


def test_a_group_is_opened_by_any_of_its_members() -> None:
    graph = layout(Tree(fan(300)), opened=["e299"])
    shown = [box for box in graph.boxes if box.name == "type0"]
    assert len(shown) == MOST_OPENED + 1
    assert len(shown[-1].items) == 300 - MOST_OPENED
    assert not overlapping(graph)


def test_grouping_begins_above_the_limit() -> None:
    assert sum(box.name == "type0" for box in layout(Tree(fan(GROUP_ABOVE))).boxes) == GROUP_ABOVE
    assert sum(box.name == "type0" for box in layout(Tree(fan(GROUP_ABOVE + 1))).boxes) == 1


def test_the_critical_path_is_marked_through_groups() -> None:
    tree = Tree(fan(30))
    graph = layout(tree, critical_path(tree, START))
    assert [box.name for box in graph.boxes if box.critical] == ["begin", "load", "type0", "a"]
    assert sum(edge.critical for edge in graph.edges) == 3
    assert all(edge.critical for edge in graph.edges[-3:]), "it lies above the others"


def test_the_chosen_box_is_the_one_that_holds_the_item() -> None:
    graph = layout(Tree(fan(30)), chosen="x17b")
    assert graph.chosen is not None
    assert graph.chosen.name == "b"
    assert [box for box in graph.boxes if box.chosen] == [graph.chosen]
    assert layout(Tree(fan(3)), chosen="nothing").chosen is None


def test_gathered_events_have_lines_across_the_tree() -> None:
    events = [sent(f"e{n}", f"t{n}") for n in range(3)]
    graph = layout(Tree([*events, ran("x", "s", "e0", "e1", "e2")]))
    assert [edge.kind for edge in graph.edges] == ["", "gathered", "gathered"]
    many = layout(
        Tree([sent("e", "t"), *(sent(f"e{n}", "t") for n in range(40)), ran("x", "s", "e", "e3", "e9")])
    )
    assert len(many.edges) == 1, "one line from a group"


def test_a_flow_of_many_names_is_cut_and_says_so() -> None:
    graph = layout(Tree(fan(3000, types=1500)))
    assert len(graph.boxes) == MAX_BOXES
    assert not graph.complete
    assert len(graph.edges) < MAX_BOXES


def test_a_long_chain_does_not_end_in_recursion() -> None:
    nodes = []
    for n in range(5000):
        nodes.append(sent(f"e{n}", f"t{n}", f"x{n - 1}" if n else None))
        nodes.append(ran(f"x{n}", f"s{n}", f"e{n}"))
    tree = Tree(nodes)
    assert len(layout(tree, critical_path(tree, START)).boxes) == MAX_BOXES


def test_nothing_is_lost_in_a_ring() -> None:
    """Somebody can send an event that names as its cause the execution which it will start."""
    graph = layout(Tree([sent("e", "t", "x"), ran("x", "s", "e")]))
    assert sorted(items(graph)) == ["e", "x"]


def test_nothing_at_all() -> None:
    graph = layout(Tree([]))
    assert graph.boxes == graph.edges == []


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 30)), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 29), st.integers(0, 29)), max_size=30),
    st.integers(0, 30),
)
def test_everything_is_drawn_exactly_once(
    emitted: list[tuple[int, int]], runs: list[tuple[int, int, int]], opened: int
) -> None:
    events = [
        sent(f"e{n}", f"t{t}", f"x{cause}" if cause >= 0 else None) for n, (t, cause) in enumerate(emitted)
    ]
    executions = [ran(f"x{n}", f"s{s}", f"e{e}", f"e{g}") for n, (s, e, g) in enumerate(runs)]
    graph = layout(Tree([*events, *executions]), opened=[f"e{opened}"])
    assert sorted(items(graph)) == sorted(node.key for node in [*events, *executions])
    assert not overlapping(graph)
    assert all(box.x >= 0 and box.x + BOX_WIDTH <= graph.width for box in graph.boxes)
    assert all(box.y >= 0 and box.y + BOX_HEIGHT <= graph.height for box in graph.boxes)
