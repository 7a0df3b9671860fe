"""The forest of causes and the critical path: everything once, rings cut, the slowest chain found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ferris.causality import EVENT, EXECUTION, GATHERED, SENT, TRIGGERED, Cause, Node, Tree, critical_path

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def sent(key: str, second: float, cause: str = "", flow: str = "") -> Node:
    return Node(key, EVENT, key, at(second), (Cause(cause, SENT),) if cause else (), flow=flow)


def ran(key: str, begun: float, started: float, ended: float | None, *causes: str) -> Node:
    kinds = [TRIGGERED, *[GATHERED] * len(causes)]
    return Node(
        key, EXECUTION, key, at(begun), tuple(map(Cause, causes, kinds)),
        "in_progress" if ended is None else "completed", at(started), None if ended is None else at(ended),
    )  # fmt: skip


def keys(tree: Tree) -> list[tuple[int, str]]:
    return [(depth, node.key) for depth, node in tree.walk()]


def test_each_stands_before_what_it_caused() -> None:
    tree = Tree(
        [sent("e", 0), ran("x", 0, 1, 9, "e"), sent("f", 2, "x"), sent("g", 3, "x"), ran("y", 2, 2, 3, "f")]
    )
    assert keys(tree) == [(0, "e"), (1, "x"), (2, "f"), (3, "y"), (2, "g")]


def test_the_path_ends_with_what_ended_last_and_says_where_the_time_went() -> None:
    tree = Tree(
        [
            sent("e", 0), ran("x", 1, 3, 9, "e"), sent("f", 5, "x"), ran("fast", 5, 6, 7, "f"),
            ran("slow", 6, 10, 30, "f"),
        ]
    )  # fmt: skip
    path = critical_path(tree, at(99))
    assert path is not None
    assert path.keys == ("e", "x", "f", "slow")
    assert path.length == timedelta(seconds=30)
    assert path.running == timedelta(seconds=2 + 20)
    assert path.waiting == timedelta(seconds=2 + 4)
    assert path.other == timedelta(seconds=2), "e until x was made, f until slow was made"
    assert not path.open


def test_time_between_attempts_is_no_time_in_scripts() -> None:
    twice = replace(ran("x", 0, 1, 61, "e"), gaps=((at(11), at(51)),))
    path = critical_path(Tree([sent("e", 0), twice]), at(99))
    assert path is not None
    assert (path.running, path.waiting) == (timedelta(seconds=20), timedelta(seconds=41))
    early = critical_path(Tree([sent("e", 0), twice, sent("f", 31, "x"), ran("y", 31, 31, 70, "f")]), at(99))
    assert early is not None
    assert (early.running, early.waiting) == (timedelta(seconds=10 + 39), timedelta(seconds=1 + 20))


def test_what_runs_still_counts_until_now() -> None:
    path = critical_path(Tree([sent("e", 0), ran("x", 0, 1, None, "e"), ran("y", 0, 1, 5, "e")]), at(20))
    assert path is not None
    assert (path.keys, path.length, path.open) == (("e", "x"), timedelta(seconds=20), True)


def test_of_gathered_events_the_last_one_made_it_wait() -> None:
    tree = Tree(
        [sent("a", 0), sent("b", 7), sent("far", 8, flow="other"), ran("x", 9, 9, 12, "a", "b", "far")]
    )
    path = critical_path(tree, at(99))
    assert path is not None
    assert path.keys == ("b", "x"), "what happened in another flow is not this one's time"
    assert [(line.cause, line.key, line.kind) for line in tree.lines] == [
        ("b", "x", GATHERED),
        ("far", "x", GATHERED),
    ]


def test_events_alone_have_no_path() -> None:
    assert critical_path(Tree([sent("a", 0)]), at(1)) is None
    assert critical_path(Tree([]), at(1)) is None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=12))
def test_everything_is_there_once_whatever_the_causes_say(causes: list[list[int]]) -> None:
    nodes = [
        Node(
            str(n),
            EXECUTION if n % 2 else EVENT,
            "n",
            at(n),
            tuple(Cause(str(c), SENT) for c in some),
            "completed",
        )
        for n, some in enumerate(causes)
    ]
    tree = Tree(nodes)
    assert sorted(key for _, key in keys(tree)) == sorted(tree.nodes)
    path = critical_path(tree, at(99))
    assert path is None or len(set(path.keys)) == len(path.keys)
