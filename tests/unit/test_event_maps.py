"""Event maps: what they make, what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ferris import events
from ferris.errors import EventError
from ferris.event_maps import ALL, MAPPED, MapError, circle, event_map

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DATA = {"order": {"id": 7, "total": 12.5}, "who": "Ada", "tags": ["a"]}


@pytest.mark.parametrize(
    ("strategy", "made"),
    [
        (MAPPED, {"amount": 12.5, "by": {"name": "Ada"}, "currency": "EUR", "title": "Order 7 of Ada {x}"}),
        (
            ALL,
            {
                "order": {"id": 7}, "tags": ["a"],
                "amount": 12.5, "by": {"name": "Ada"}, "currency": "EUR", "title": "Order 7 of Ada {x}",
            },
        ),
    ],
)  # fmt: skip
def test_fields_constants_and_templates(strategy, made):
    by = event_map(
        {"shop.placed": "bill.order", "order.total": "amount", "who": "by.name", "missing": "nothing"},
        strategy,
        {"currency": "EUR"},
        {"title": "Order {order.id} of {who}{none} {{x}}"},
    )
    before = str(DATA)
    assert by.data(DATA) == made
    assert str(DATA) == before
    assert by.data("text") == {"currency": "EUR", "title": "Order  of  {x}"}


def test_names_may_be_swapped():
    assert event_map({"a": "b", "x": "y", "y": "x"}, ALL).data({"x": 1, "y": 2}) == {"y": 1, "x": 2}


def test_the_event_is_of_the_same_flow_and_the_same_when_made_again():
    event = events.with_flow(
        events.new("shop.placed", "/shop", DATA, now=NOW, subject="7", service="one", hops=2)
    )
    by = event_map({"shop.placed": "bill.order", "who": "who"})
    made = by.event(event, "bill.order")
    assert (made.type, made.source, made.subject, made.data) == ("bill.order", "/shop", "7", {"who": "Ada"})
    assert (made.flow_id, made.hops, made.service) == (event.flow_id, 3, None)
    assert made.extensions["ferrismapped"] == str(event.key)
    assert by.event(event, "bill.order").key == made.key
    assert by.event(event, "other").key != made.key
    events.parse(events.encode(made), now=NOW)


def test_what_would_be_too_large_is_no_event():
    event = events.new("a", "/s", {"x": "x" * 300_000}, now=NOW)
    with pytest.raises(EventError):
        event_map({"a": "b"}, templates={"y": "{x}{x}{x}{x}"}).event(event, "b")


@pytest.mark.parametrize(
    ("arguments", "name", "words"),
    [
        ([[]], "map", "expected an object"),
        ([{}], "map", "is empty"),
        ([{"a": "a"}], "map", "onto itself"),
        ([{"a.*": "b"}], "map", "no event type"),
        ([{"a": ""}], "map", "no event type"),
        ([{"a": "ferris.flow.overdue"}], "map", "reserved"),
        ([{"a": "b", "x": 1}], "map.x", "expected a text"),
        ([{"a": "b", "x..y": "z"}], "map", "no field"),
        ([{"a": "b", "x": "z", "y": "z.q"}], "map", "already filled by 'z'"),
        ([{"a": "b", "x": "z"}, MAPPED, {"z": 1}], "constants", "already filled by 'z' in map"),
        ([{"a": "b"}, "some"], "strategy", "expected mapped or all"),
        ([{"a": "b"}, MAPPED, [1]], "constants", "expected an object"),
        ([{"a": "b"}, MAPPED, {}, {"t": "{x"}], "templates.t", "brace"),
        ([{"a": "b"}, MAPPED, {}, {"t": "{x!r}"}], "templates.t", "path of a field"),
        ([{"a": "b"}, MAPPED, {}, {"t": "{}"}], "templates.t", "path of a field"),
        ([{"a": "b"}, MAPPED, {}, {"t": 7}], "templates.t", "expected a text"),
    ],
)
def test_what_is_no_map_is_refused_with_its_place(arguments, name, words):
    with pytest.raises(MapError) as caught:
        event_map(*arguments)
    assert caught.value.name == name
    assert words in caught.value.problem


def test_circles_are_found_however_long():
    edges = [("a", "b"), ("b", "c"), ("b", "d")]
    assert circle(edges, "c", "a") == ["c", "a", "b", "c"]
    assert circle(edges, "d", "e") == []
    assert circle([], "a", "b") == []
