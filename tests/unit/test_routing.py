"""The table against a naive scan that shares no code with it, and its explanations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferris import events
from ferris.conditions import ABSENT
from ferris.filter_nodes import Leaf
from ferris.filters import Filter
from ferris.predicates import FilterError
from ferris.routing import RoutingTable, Trigger, explain, type_matches
from tests.unit.naive_routing import naive_match, naive_test, naive_type
from tests.unit.routing_strategies import (
    fields,
    objects,
    patterns,
    rows,
    subjects,
    triggers,
    types,
    values,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def event(type: str, data: Any = None, **attributes: Any) -> events.Event:
    return events.new(type, attributes.pop("source", "src"), data, now=NOW, **attributes)


def table(*patterns: str | tuple[str, Any]) -> RoutingTable:
    """One service for each pattern, called after its position."""
    pairs = [(pattern, None) if isinstance(pattern, str) else pattern for pattern in patterns]
    return RoutingTable(
        Trigger(str(n), f"service-{n}", type, filter) for n, (type, filter) in enumerate(pairs)
    )


def found(routes: RoutingTable, seen: events.Event) -> str:
    return "".join(trigger.service_id for trigger in routes.match(seen))


def test_types() -> None:
    routes = table("a.b", "a.*", "a.b.*", "*", "a", "b.*", "a.b.c")
    assert found(routes, event("a.b")) == "013"
    assert found(routes, event("a.b.c")) == "1236"
    assert found(routes, event("a.b.c.d")) == "123"
    assert found(routes, event("a")) == "34"
    assert found(routes, event("ab")) == "3"
    assert found(routes, event("b.b")) == "35"
    assert found(routes, event("A.b")) == "3"
    assert len(routes) == 7


@pytest.mark.parametrize("pattern", ["", ".*", "a.*.b", "*.b", "a*", "**", "*.*", " a", "a\n"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(ValueError, match="expected an exact type"):
        table(pattern)


def test_a_service_matches_once_in_stable_order() -> None:
    triggers = [
        Trigger("2", "b", "*"),
        Trigger("1", "a", "x.y"),
        Trigger("2", "b", "x.*", payload="other"),
        Trigger("1", "a", "*"),
    ]
    matched = RoutingTable(triggers).match(event("x.y"))
    assert matched == [triggers[0], triggers[1]]
    assert matched[0].payload is None


def test_filters_narrow() -> None:
    routes = table(
        ("q", {"data": {"kind": ["quake", "blast"]}}),
        ("q", {"data": {"kind": ["quake"], "mag": [{"numeric": [">=", 4.5]}]}}),
        ("q", {"data": {"mag": [{"numeric": [">=", 4.5]}]}}),
        ("q", {"source": ["other"]}),
        "q",
        ("*", {"data": {"kind": ["blast"]}}),
    )
    assert found(routes, event("q", {"kind": "quake", "mag": 3})) == "04"
    assert found(routes, event("q", {"kind": "quake", "mag": 5})) == "0124"
    assert found(routes, event("q", {"kind": "blast", "mag": 3})) == "045"
    assert found(routes, event("q", {"kind": ["blast", "quake"], "mag": 9})) == "01245"
    assert found(routes, event("q", source="other")) == "34"
    assert found(routes, event("q", "text")) == "4"


def test_an_addressed_event_matches_its_service_only() -> None:
    routes = table("a", "*", "b")
    assert found(routes, event("a", service="service-1")) == "1"
    assert found(routes, event("a", service="1")) == "1"
    assert found(routes, event("a", service="service-2")) == ""


def test_only_candidates_are_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flat cost: of 10,000 services on one type, an event meets the few whose value it carries, and of these only
    what the place where they are found does not say already."""
    routes = RoutingTable(
        Trigger(
            str(n),
            f"s{n}",
            "orders.created",
            {"data": {"shop": [f"shop-{n}"], "sum": [{"numeric": [">", 5]}]}},
        )
        for n in range(10_000)
    )
    tested, compiled = list[str](), list[Any]()
    holds = Leaf.holds
    monkeypatch.setattr(Leaf, "holds", lambda self, look: (tested.append(self.path), holds(self, look))[1])
    whole = Filter.__init__
    monkeypatch.setattr(
        Filter, "__init__", lambda self, *given, **more: (compiled.append(1), whole(self, *given, **more))[1]
    )
    matched = routes.match(event("orders.created", {"shop": ["shop-77", "shop-5000"], "sum": 10}))
    assert [trigger.service for trigger in matched] == ["s77", "s5000"]
    assert (tested, compiled) == (["data.sum", "data.sum"], [])
    # a list of objects: one of them has to match as a whole, which the filter as a whole tells, made once
    orders = [{"shop": "shop-77", "sum": 1}, {"shop": "shop-78", "sum": 9}]
    for _ in range(2):
        assert [t.service for t in routes.match(event("orders.created", orders))] == ["s78"]
    assert len(compiled) == 2


def test_ends_of_ranges() -> None:
    """The index finds ranges without a further test, up to where floats are no longer exact."""
    large = 2**53
    bounds = [
        (">", 1), (">=", 1), ("<", 1), ("<=", 1), (">", 1.5), ("<", 1.5), (">", 0), ("<", -0.0), (">", large),
        ("<", large), (">=", large), ("<=", large), (">", -large), ("<", -large), (">", 1e300), ("<", 5e-324),
    ]  # fmt: skip
    ranges = [
        ("<=", 1, ">=", 0),
        (">", 1, "<", 1.0000000000000002),
        (">", 0, "<", 1),
        (">=", large - 1, "<", large),
    ]
    tests = [list(one) for one in bounds] + [
        [*one[2:], *one[:2]] if one[0] == "<=" else list(one) for one in ranges
    ]
    routes = table(*(("t", {"data": {"x": [{"numeric": test}]}}) for test in tests))
    values = [
        0,
        -0.0,
        1,
        1.0,
        2,
        1.5,
        0.9999999999999999,
        1.0000000000000002,
        5e-324,
        -5e-324,
        large,
        large + 1,
    ]
    for x in (*values, large - 1, float(large), -large, -large - 1, 1e300, 1e308, 10**400, -(10**400)):
        wanted = [str(n) for n, test in enumerate(tests) if naive_test({"numeric": test}, x)]
        assert [trigger.service_id for trigger in routes.match(event("t", {"x": x}))] == wanted, x


@settings(max_examples=400)
@given(
    st.lists(triggers, max_size=20),
    st.lists(st.tuples(types, st.dictionaries(fields, values, max_size=3) | values, subjects), max_size=4),
    st.none() | st.just("service-1"),
)
def test_the_table_finds_what_a_scan_finds(
    given_triggers: list[Trigger], seen: list[tuple[str, Any, str | None]], addressee: str | None
) -> None:
    routes = RoutingTable(given_triggers)
    for type, data, subject in seen:
        incoming = event(type, data, subject=subject, source="a", service=addressee)
        assert routes.match(incoming) == naive_match(given_triggers, incoming)
        for trigger in given_triggers:
            why = explain(incoming, trigger)
            assert why.matched == bool(naive_match([trigger], incoming))
            assert why.matched == (why.clause == "")


@settings(max_examples=150)
@given(
    st.lists(objects, min_size=4, max_size=12),
    st.lists(st.dictionaries(fields, values | rows, max_size=3) | rows, min_size=1, max_size=4),
)
def test_what_the_place_of_a_filter_says_is_true_of_lists_of_objects_too(
    filters: list[dict[str, Any]], seen: list[Any]
) -> None:
    """Filters of one event type, so that all are looked up, over data with lists on the way to its fields."""
    triggers = [Trigger(str(n), f"s{n}", "t", {"data": filter}) for n, filter in enumerate(filters)]
    routes = RoutingTable(triggers)
    for data in seen:
        incoming = event("t", data)
        assert routes.match(incoming) == naive_match(triggers, incoming)


def test_explanations() -> None:
    trigger = Trigger(
        "1", "alert", "quakes.*", {"data": {"mag": [{"numeric": [">=", 4.5]}], "place": {"c": ["CL"]}}}
    )

    def why(seen: events.Event) -> tuple[Any, ...]:
        found = explain(seen, trigger)
        return found.matched, found.clause, found.expected, found.seen

    assert why(event("quakes.seen", {"mag": 5, "place": {"c": "CL"}})) == (True, "", None, None)
    assert why(event("other", {"mag": 5})) == (False, "type", "quakes.*", "other")
    assert why(event("quakes.seen", {"mag": 4})) == (False, "data.mag", [{"numeric": [">=", 4.5]}], 4)
    assert why(event("quakes.seen", {})) == (False, "data.mag", [{"numeric": [">=", 4.5]}], ABSENT)
    assert why(event("quakes.seen", {"mag": 5, "place": {"c": "JP"}})) == (
        False,
        "data.place.c",
        ["CL"],
        "JP",
    )
    assert why(event("quakes.seen", service="other")) == (False, "ferrisservice", "alert", "other")
    found = explain(event("quakes.seen", {"mag": 5, "place": [{"c": "JP"}, {"c": "PE"}]}), trigger)
    assert (found.clause, found.seen) == ("data.place", [{"c": "JP"}, {"c": "PE"}])
    assert str(explain(event("quakes.seen", {}), trigger)) == (
        "data.mag is absent; expected [{'numeric': ['>=', 4.5]}]"
    )
    assert str(explain(event("quakes.x"), Trigger("1", "a", "*"))) == "matches"


@given(patterns, types)
def test_type_matches(pattern: str, type: str) -> None:
    assert type_matches(pattern, type) == naive_type(pattern, type)


changes = st.lists(st.tuples(st.sets(st.integers(0, 5)), st.lists(triggers, max_size=12)), max_size=5)


@settings(max_examples=200)
@given(changes, st.lists(st.tuples(types, st.dictionaries(fields, values, max_size=3)), max_size=4))
def test_a_changed_table_finds_what_a_new_one_finds(
    steps: list[tuple[set[int], list[Trigger]]], seen: list[tuple[str, Any]]
) -> None:
    routes, held = RoutingTable(()), list[Trigger]()
    for services, added in steps:
        gone = {str(service) for service in services}
        routes.replace(gone, added)
        held = [trigger for trigger in held if trigger.service_id not in gone] + added
        assert len(routes) == len(held)
        for type, data in seen:
            incoming = event(type, data, subject="a", source="a")
            assert routes.match(incoming) == naive_match(held, incoming)


@pytest.mark.parametrize("rule", [
    lambda n: {"data": {"x": [n]}},
    lambda n: {"data": {"x": [{"numeric": [">=", n, "<", n + 2]}]}},
    lambda n: {"data": {"x": [{"numeric": [">", n]}]}},
    lambda n: {"data": {"y": [{"suffix": f"{n}/a"}, {"prefix": f"in/{n}/b"}]}},
    lambda n: {"data": {"y": [{"wildcard": f"in/{n}/*"}], "x": [{"anything-but": "q"}]}},
    lambda n: {"$or": [{"subject": [f"s{n}"]}, {"data": {"x": [{"numeric": ["<", n, ]}]}}]},
])  # fmt: skip
def test_many_changes_of_many_services(rule: Any) -> None:
    def trigger(n: int, version: int) -> Trigger:
        return Trigger(str(n), f"s{n}", "t", rule(n + version))

    routes = RoutingTable(trigger(n, 0) for n in range(300))
    versions = dict.fromkeys(range(300), 0)
    for n in range(0, 300, 2):
        versions[n] += 1
        routes.replace([str(n)], [trigger(n, versions[n])])
    for n in range(0, 300, 3):
        del versions[n]
    routes.replace([str(n) for n in range(0, 300, 3)], [])
    fresh = RoutingTable(trigger(n, version) for n, version in versions.items())
    assert len(routes) == len(fresh)
    for x in (0, 7, 7.5, 150, 299, 301):
        seen = event("t", {"x": x, "y": f"in/{x}/a"}, subject=f"s{x}")
        assert {t.service for t in routes.match(seen)} == {t.service for t in fresh.match(seen)}


def test_a_trigger_that_is_none_is_told_and_left_out() -> None:
    refused: list[str] = []
    routes = RoutingTable(
        [Trigger("1", "a", "t", {"data": {"x": []}}), Trigger("2", "b", "t"), Trigger("3", "c", "t*")],
        lambda trigger, error: refused.append(f"{trigger.service}: {error}"),
    )
    assert [trigger.service for trigger in routes.match(event("t"))] == ["b"]
    assert [text.split(":")[0] for text in refused] == ["a", "c"]
    with pytest.raises(FilterError):
        routes.replace(["2"], [Trigger("2", "b", "t", {"data": {"x": []}})])
    assert [trigger.service for trigger in routes.match(event("t"))] == ["b"]
