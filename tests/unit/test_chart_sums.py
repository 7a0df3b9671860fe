"""What events come to in a chart."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ferris import events
from ferris.chart_sums import (
    ALL,
    MOST_GROUPS,
    REST,
    WORDS,
    Group,
    Look,
    Sum,
    drawn,
    group_of,
    path_problem,
    value_of,
)

T = datetime(2026, 1, 2, 3, tzinfo=UTC)


def _event(data: Any) -> events.Event:
    return events.new("shop.order", "shop", data, now=T, subject="s1")


@pytest.mark.parametrize(
    ("data", "path", "value"),
    [
        ({"total": 3}, "", 1.0),
        ({"total": 3}, "data.total", 3.0),
        ({"a": [{"b": "2.5"}]}, "data.a.0.b", 2.5),
        ({"total": "nan"}, "data.total", None),
        ({"total": "1e300"}, "data.total", None),
        ({"total": 10**400}, "data.total", None),
        ({"total": True}, "data.total", None),
        ({"total": None}, "data.total", None),
        ({"total": {"x": 1}}, "data.total", None),
        ({"total": "9" * 200}, "data.total", None),
        ([], "data.total", None),
        (None, "data", None),
    ],
)
def test_the_number_of_an_event(data: Any, path: str, value: float | None) -> None:
    assert value_of(_event(data), path) == value


def test_the_group_of_an_event() -> None:
    event = _event({"shop": "no\0rth" + "x" * 200})
    assert group_of(event, "", []) == ALL
    assert group_of(event, "subject", []) == Group("s1")
    assert group_of(event, "data.city", []) == Group("")
    name = group_of(event, "data.shop", []).name
    assert name.startswith("no�rth")
    assert len(name) == 100
    full = [str(n) for n in range(MOST_GROUPS)]
    assert group_of(event, "subject", full) == REST
    assert group_of(event, "subject", [*full[1:], "s1"]) == Group("s1")
    assert path_problem("data..x")
    assert not path_problem("data.x")


def test_sums_do_not_depend_on_the_order() -> None:
    parts = [(5.0, 0), (-1.0, 2), (3.0, 1)]
    for order in itertools.permutations(parts):
        whole = Sum()
        for value, minute in order:
            one = Sum()
            one.take(value, T + timedelta(minutes=minute))
            whole.add(one)
        told = [whole.of(name) for name in ("count", "sum", "average", "least", "most", "last")]
        assert told == [3, 7.0, 7 / 3, -1.0, 5.0, -1.0]
    assert [Sum().of("count"), Sum().of("sum")] == [0, None]


def _sums() -> dict[tuple[int, Group], Sum]:
    found: dict[tuple[int, Group], Sum] = {}
    for place, group, value in [(0, "a", 4), (0, "b", 1), (1, "a", 2), (1, "c", 2)]:
        found.setdefault((place, Group(group)), Sum()).take(value, T)
    found[1, REST] = Sum()
    found[1, REST].take(10, T)
    return found


def test_groups_that_come_to_most_are_drawn_and_the_others_are_the_rest() -> None:
    chart = drawn(Look("bar", "x", "sum", grouped=True, shown=2), ["h0", "h1"], _sums(), "Hour")
    assert [(one.name, list(one.values)) for one in chart.series] == [
        ("a", [4, 2]),
        ("c", [None, 2]),
        ("other", [1, 10]),
    ]
    pie = drawn(Look("pie", "x", "sum", grouped=True, shown=2), ["h0", "h1"], _sums(), "Hour")
    assert (list(pie.labels), list(pie.series[0].values)) == (["a", "c", "other"], [6, 2, 11])
    table = drawn(Look("table", "x", "average", grouped=True, shown=9), ["h0", "h1"], _sums(), "Hour")
    assert list(table.labels) == ["a", "c", "b", "other"]
    assert [list(one.values) for one in table.series] == [[3, 2, 1, 10], ["2", "1", "1", "1"]]
    kpi = drawn(Look("kpi", "x", "sum", grouped=True), ["h0", "h1"], _sums(), "Hour")
    assert list(kpi.series[0].values) == [19]


def test_what_a_chart_says_itself_is_said_in_another_language_and_what_events_said_is_not() -> None:
    """Every word it has of its own is among WORDS: who translates them has them all."""
    heard = []

    def say(word: str) -> str:
        heard.append(word)
        return word.upper()

    found = {(0, Group(name)): Sum() for name in ("other", "sum", "")} | {(0, REST): Sum()}
    for n, one in enumerate(found.values()):
        one.take(9 - n, T)
    table = drawn(Look("table", "x", "sum", grouped=True), ["h0"], found, "Hour", say)
    assert list(table.labels) == ["other", "sum", "NONE", "OTHER"]
    assert [table.first_column, *(one.name for one in table.series)] == ["GROUP", "SUM", "EVENTS"]
    lines = drawn(Look("line", "x", "sum", grouped=True), ["h0"], found, "Hour", say)
    assert [one.name for one in lines.series] == ["other", "sum", "NONE", "OTHER"]
    for kind in ("kpi", "bar"):
        assert drawn(Look(kind, "x", "last"), ["h0"], found, "Hour", say).series[0].name == "LAST"
    assert set(heard) <= set(WORDS)


def test_nothing_is_drawn_as_nothing() -> None:
    line = drawn(Look("line", "x", "count"), ["h0", "h1"], {}, "Hour")
    assert [list(one.values) for one in line.series] == [[0, 0]]
    assert list(drawn(Look("kpi", "x", "count"), ["h0"], {}, "Hour").series[0].values) == [0]
    assert list(drawn(Look("pie", "x", "sum", grouped=True), ["h0"], {}, "Hour").labels) == []
